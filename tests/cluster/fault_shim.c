/* LD_PRELOAD: fdatasync and fsync of files whose path contains $FAULT_PATH fail with EIO once the file $FAULT_TRIGGER exists.
   io_uring is refused, so that every synchronization comes this way. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int faulty(int descriptor) {
    const char *trigger = getenv("FAULT_TRIGGER"), *part = getenv("FAULT_PATH");
    char name[64], path[4096];
    if (!trigger || !part || access(trigger, F_OK) != 0) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, part) != NULL;
}

int fdatasync(int descriptor) {
    if (faulty(descriptor)) { errno = EIO; return -1; }
    return syscall(SYS_fdatasync, descriptor);
}

int fsync(int descriptor) {
    if (faulty(descriptor)) { errno = EIO; return -1; }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return real(descriptor);
}

long syscall(long number, ...) {
    va_list list;
    va_start(list, number);
    long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long);
    long d = va_arg(list, long), e = va_arg(list, long), f = va_arg(list, long);
    va_end(list);
    if (number == SYS_io_uring_setup) { errno = ENOSYS; return -1; }
    static long (*real)(long, ...);
    if (!real) real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    return real(number, a, b, c, d, e, f);
}
