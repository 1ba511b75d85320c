"""A greenhouse: schedules in the code, in Celery's dictionary, and added while it runs. test_schedules.py is its test.

$ python examples/schedules.py            # the greenhouse for three seconds
$ cd examples && aioqueue worker schedules:app --beat
$ pytest examples/test_schedules.py       # a week of it in a second
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from itertools import count

from aioqueue import AioQueue, TaskContext, crontab, every, one_off

app = AioQueue("greenhouse", timezone="UTC")  # in which crontabs count that name no other
degrees = count(20)  # a thermometer: it is getting warm


# Each bed has a schedule of its own. A watering that was missed is made up for, once: that is the default.
@app.periodic(crontab("0 7 * * *"), args=("tomatoes",), name="water tomatoes")
@app.periodic(crontab("0 7 * * mon,thu"), args=("herbs",), name="water herbs")
@app.task
async def water(bed: str) -> str:
    return f"{bed} watered"


# A reading that was missed is of no use afterwards; and one that takes long is not joined by the next.
@app.periodic(every(hours=1, anchor="2026-01-01T00:30Z"), name="measure", misfire="skip", max_running=1)
@app.task(bind=True)
async def measure(ctx: TaskContext) -> str:
    return f"{next(degrees)} degrees"


@app.task
async def report(to: str) -> str:
    return f"to {to}: all is well"


# Celery's dictionary, as it is.
app.conf.beat_schedule = {
    "report": {
        "task": "schedules.report",
        "schedule": crontab(hour=18, minute=0, day_of_week="fri"),
        "kwargs": {"to": "the gardener"},
        "options": {"expires": 3600},
    },
}


# And at run time. These live in the broker, and fire wherever a scheduler runs.
async def watch_closely(interval: timedelta, times: int) -> None:
    await app.schedules.add("watch", measure.s(), every(interval), max_runs=times, replace=True)


async def announce_visit(at: datetime, visitor: str) -> None:
    await app.schedules.add(f"visit of {visitor}", report.s(visitor), one_off(at))


async def main() -> None:
    async with app, app.worker(beat=True):
        await watch_closely(timedelta(seconds=1), times=3)
        for due in await app.schedules.upcoming("watch"):
            # A task of a schedule has an id that can be told beforehand, so that its result can be waited for.
            result = app.result(f"watch:{due:%Y-%m-%dT%H:%M:%S}.{due.microsecond // 1000:03}Z")
            print(await result.get(timeout=30))
        for schedule in await app.schedules.list():
            if schedule.next_run_at:  # in UTC; and None of "watch", which is over
                print(f"{schedule.name}: next at {schedule.next_run_at:%a %H:%M}")


if __name__ == "__main__":
    asyncio.run(main())
