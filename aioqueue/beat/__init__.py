"""Schedules, fired: once for each due time, wherever they run.

What a schedule is, as a value, is in `aioqueue.schedules`; how one is declared, in `aioqueue.periodic`; where they are
kept, in the broker. Nothing here is imported by a worker that runs no scheduler.

due          which due times are fired now, and what comes next: rules, and no clock
definition   what is stored of a schedule
ways         how tasks are sent by themselves, for schedulers that have them not in their code
job          a stored schedule, ready to be fired
declaring    those of a program's code
claiming     from what is due to what is sent
scheduler    one of any number, of which one leads
running      a scheduler for as long as a process or a worker runs
schedules    `app.schedules`
sync         the same for synchronous code
"""

from __future__ import annotations

from typing import NoReturn


def __getattr__(name: str) -> NoReturn:
    from aioqueue.other_words import elsewhere

    raise elsewhere(__name__, name)
