"""What a worker does when it is told to from afar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from aioqueue.questions import NewLimits

if TYPE_CHECKING:
    from aioqueue.worker.worker import Worker


class Done(NamedTuple):
    """What is answered, and what is done once that is on its way."""

    said: Any
    then: Callable[[], object] | None = None


def _shutdown(worker: Worker, _: None) -> Done:
    def stop() -> None:
        worker.life.say(" was told to stop from afar")
        worker.stop()

    return Done("stops", stop)


def _time_limit(worker: Worker, limits: NewLimits) -> Done:
    task = worker.app.find(limits.task)
    if limits.soft is not None:
        task.soft_time_limit = limits.soft
    if limits.hard is not None:
        task.time_limit = limits.hard
    said = f"soft {task.soft_time_limit}, hard {task.time_limit}"
    worker.life.say(" was told from afar that the limits of %s are: %s", task.name, said)
    return Done(said)


def _events(worker: Worker, on: bool) -> Done:
    said = "on" if on else "off"
    if worker.app.publisher.is_on != on:
        worker.life.say(" was told from afar that events are %s", said)
        worker.app.publisher.switch(on)
    return Done(said)


STEERS: Mapping[str, tuple[Any, Callable[[Worker, Any], Done]]] = {
    "shutdown": (None, _shutdown),
    "time_limit": (NewLimits, _time_limit),
    "events": (bool, _events),
}
"""What a worker can be told: the type of what is said with it, and who does it."""
