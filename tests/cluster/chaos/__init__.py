"""Real processes, real drivers, real faults, judged by `tests.checker`. See README.md."""
