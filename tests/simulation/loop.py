"""An event loop whose time is a number, and whose callbacks belong to simulated processes.

    run ─▶ ready callbacks, in the order they were scheduled ─▶ nothing ready: time jumps to the next timer ─▶ …

Real code (asyncio tasks, streams, the replica's chain of callbacks) runs on it unchanged. Nothing waits, nothing is
polled, there are no threads and no sockets, so that a run depends on nothing but what it was given: the same seed gives
the same order of callbacks, down to the last one.

**Processes.** Several nodes share the loop, and one of them can be killed or stopped at any moment. Every callback
carries a `contextvars` context, which asyncio hands on from whoever schedules to what is scheduled; a context variable
in it names the `Process` that the callback belongs to. A callback of a dead process is dropped, without any clean-up,
as SIGKILL would have it; one of a paused process waits until it goes on (SIGSTOP). Whoever calls into another process
(the network does) schedules in that process's context.

What a killed process leaves behind (suspended coroutines with `finally` blocks) is kept until the loop is closed, since
the garbage collector would otherwise run it at a moment of its choosing.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import inspect
from asyncio import Handle, TimerHandle
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any

_process: contextvars.ContextVar[Process | None] = contextvars.ContextVar("simulated_process", default=None)


class Deadlock(AssertionError):
    """Nothing is scheduled any more, and the run is not finished."""


class OutOfTime(AssertionError):
    """The run is not finished at the end of its virtual time."""


class Process:
    """What callbacks belong to: one incarnation of a node, or a client.

    Attributes:
        name: for traces.
        alive: False once killed; for ever.
        paused: whether its callbacks wait.
        context: in which to schedule what belongs to it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self.deferred: list[Handle] = []
        self.context = contextvars.copy_context()
        self.context.run(_process.set, self)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function now, as if the process did it itself."""
        return self.context.copy().run(function, *arguments)


def current_process() -> Process | None:
    """The process whose callback is running."""
    return _process.get()


class SimulatedLoop(asyncio.AbstractEventLoop):
    """See the module.

    Args:
        executor_seconds: how long work takes that is given to a thread.

    Attributes:
        steps: callbacks run so far.
        errors: what nobody caught: (process, description, exception).
        after_step: called after each callback of a process, with the process.
    """

    def __init__(self, executor_seconds: Callable[[], float] = lambda: 0.0) -> None:
        self._now = 0.0
        self._ready: deque[tuple[Handle, Process | None]] = deque()
        self._timers: list[tuple[float, int, TimerHandle, Process | None]] = []
        self._sequence = 0
        self._closed = False
        self._running = False
        self._stopping = False
        self._tasks: list[tuple[asyncio.Task[Any], Process | None]] = []
        self._tasks_max = 256
        self._executor_seconds = executor_seconds
        self.steps = 0
        self.errors: list[tuple[str, str, BaseException | None]] = []
        self.after_step: Callable[[Process], None] | None = None

    # ---- scheduling -------------------------------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None) -> Handle:  # type: ignore[override]
        """After what is ready already."""
        handle = Handle(callback, args, self, context)
        if not self._closed:
            self._ready.append((handle, handle._context.get(_process)))
        return handle

    call_soon_threadsafe = call_soon

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> TimerHandle:
        """In so many virtual seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> TimerHandle:
        """At a virtual time; those of one moment in the order in which they were scheduled."""
        handle = TimerHandle(when, callback, args, self, context)
        handle._scheduled = True
        if not self._closed:
            self._sequence += 1
            heapq.heappush(self._timers, (when, self._sequence, handle, handle._context.get(_process)))
        return handle

    def _timer_handle_cancelled(self, handle: TimerHandle) -> None:
        """asyncio tells when a timer is cancelled; it is dropped when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[Any]:
        """A task, remembered until it is done."""
        if self._closed:
            coro.close()
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._tasks.append((task, (context or contextvars.copy_context()).get(_process)))
        if len(self._tasks) > self._tasks_max:
            self._tasks = [each for each in self._tasks if not each[0].done() or each[0]._log_traceback]  # type: ignore[attr-defined]
            self._tasks_max = 2 * len(self._tasks) + 256
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """The function runs whole, a little later, in the loop's own thread."""
        future = self.create_future()

        def work() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except BaseException as error:
                future.set_exception(error)

        self.call_later(self._executor_seconds(), work)
        return future

    # ---- processes --------------------------------------------------------------------------------------------------

    def kill(self, process: Process) -> None:
        """Nothing of it runs any more."""
        process.alive = False
        process.deferred.clear()

    def pause(self, process: Process) -> None:
        """Its callbacks wait."""
        process.paused = True

    def resume(self, process: Process) -> None:
        """It goes on with what has become due, in order."""
        process.paused = False
        self._ready.extend((handle, process) for handle in process.deferred)
        process.deferred.clear()

    def failures(self) -> list[tuple[str, BaseException]]:
        """Tasks of living processes that ended with an exception which nobody has looked at yet."""
        found = []
        for task, process in self._tasks:
            if task.done() and not task.cancelled() and process is not None and process.alive:
                error = task.exception() if getattr(task, "_log_traceback", False) else None
                if error is not None:
                    found.append((process.name, error))
        return found

    # ---- running ----------------------------------------------------------------------------------------------------

    def run_until_complete(self, future: Any, *, seconds_max: float = float("inf")) -> Any:
        """Run until a coroutine or future is done.

        Raises:
            Deadlock: nothing is scheduled, and it is not done.
            OutOfTime: it is not done after so many virtual seconds from now.
        """
        task = asyncio.ensure_future(future, loop=self)
        deadline = self._now + seconds_max
        asyncio._set_running_loop(self)
        self._running = True
        try:
            while not task.done():
                self._step(deadline)
        finally:
            self._running = False
            asyncio._set_running_loop(None)
        return task.result()

    def _step(self, deadline: float) -> None:
        if self._ready:
            handle, process = self._ready.popleft()
        elif self._timers:
            when, _, handle, process = heapq.heappop(self._timers)
            if handle.cancelled():
                return
            if when > deadline:
                raise OutOfTime(f"not finished at {deadline:.3f} s")
            self._now = max(self._now, when)
        else:
            raise Deadlock(f"nothing is scheduled at {self._now:.6f} s")
        if handle.cancelled():
            return
        if process is not None:
            if not process.alive:
                return
            if process.paused:
                process.deferred.append(handle)
                return
        self.steps += 1
        handle._run()
        if process is not None and self.after_step is not None:
            self.after_step(process)

    def is_running(self) -> bool:
        """Whether `run_until_complete` is at work."""
        return self._running

    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """Forget everything. What is still scheduled, or will be by finalizers, never runs."""
        self._closed = True
        for task, _ in self._tasks:
            coroutine: Any = task.get_coro()
            if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
                coroutine.close()  # killed before its first step: Python would warn that nobody awaited it
        self._ready.clear()
        self._timers.clear()
        self._tasks.clear()

    async def shutdown_asyncgens(self) -> None:
        """There are none to speak of."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There is none."""

    def get_debug(self) -> bool:
        """Never."""
        return False

    def set_debug(self, enabled: bool) -> None:
        """Not supported: debugging looks at real time."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody caught is an error of the run."""
        process = _process.get()
        if not self._closed and (process is None or process.alive):
            name = "-" if process is None else process.name
            self.errors.append((name, str(context.get("message")), context.get("exception")))
