"""Events: what programs and workers tell of tasks, workers and schedules while it happens, for whoever listens.

infos      what is heard: typed data, as it travels
publisher  tells what the app's signals tell, while events are on
flow       what is to be told, on its way to the broker
listening  `app.events()`
"""

from aioqueue.events.infos import (
    HEARTBEAT,
    BeatEventInfo,
    EventInfo,
    ScheduleEventInfo,
    TaskEventInfo,
    WorkerEventInfo,
)

__all__ = [
    "HEARTBEAT",
    "BeatEventInfo",
    "EventInfo",
    "ScheduleEventInfo",
    "TaskEventInfo",
    "WorkerEventInfo",
]
