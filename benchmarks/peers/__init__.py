"""A module for each peer: its tasks, its sender, its worker. They run in that peer's own environment.

A module defines:

- `worker_command()`: the command line of its worker; `given.AT_ONCE` says how many tasks at once, None is its best for
  short tasks;
- `Sender`: a context manager (or an asynchronous one) with `one_by_one(count)`, `many(task, count)`, `round_trip()`,
  and `submit()`, which sends one no-op and returns its id as it is written in the broker; any may be a coroutine.

One that has schedules also defines `scheduler_command()`, the command line of its scheduler, or None if its worker has
it; where `given.BEAT` says so, its task `tick` is scheduled for each second, and calls `starts.began()` at its start.

Its tasks are `noop` and `sleep`, which call `tally.ran()` as the last thing they do, and return 1.
"""
