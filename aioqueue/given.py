"""What may be given for a setting, as type checkers know it.

What `Settings` has is what is read; more may be given: a timedelta for a number of seconds, a text for a size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, TypeVar

from aioqueue.kinds import Seconds
from aioqueue.routing import QueuesGiven, Routes

if TYPE_CHECKING:
    from aioqueue.beat_schedule import BeatSchedule

T_co = TypeVar("T_co", covariant=True)
G_contra = TypeVar("G_contra", contravariant=True)


class SettingsGiven(TypedDict, total=False):
    """What `AioQueue(...)` takes beside its own arguments; see `aioqueue.settings.Settings`."""

    namespace: str | None
    partitions: int
    timezone: str

    visibility_timeout: Seconds
    max_deliveries: int
    send_timeout: Seconds
    broker_connection_retry_on_startup: bool
    max_payload_size: int | str
    queue_max_length: int | None
    queue_full: Literal["raise", "wait"]
    dead_letters_max_length: int

    task_default_queue: str
    task_default_priority: int
    task_routes: Routes
    task_annotations: Any
    task_queues: QueuesGiven
    task_create_missing_queues: bool
    task_serializer: str
    task_compression: str | None
    accept_content: list[str] | tuple[str, ...] | None
    task_acks_late: bool
    task_track_started: bool
    task_ignore_result: bool
    task_store_errors_even_if_ignored: bool
    task_dead_letters_on_failure: bool
    task_time_limit: Seconds | None
    task_soft_time_limit: Seconds | None
    task_max_retries: int | None
    task_default_retry_delay: Seconds
    task_always_eager: bool
    task_eager_propagates: bool
    task_store_eager_result: bool
    result_compression: str | None
    result_expires: Seconds | None

    worker_concurrency: int
    worker_pool: Literal["async", "threads", "processes", "solo"]
    worker_process_concurrency: int | None
    worker_prefetch: int | None
    worker_prefetch_multiplier: int | None
    signal_timeout: Seconds
    worker_shutdown_timeout: Seconds
    worker_max_tasks: int | None
    worker_max_memory: int | str | None
    loop_stall_limit: Seconds | None
    beat_schedule: BeatSchedule
    events: bool
    events_max_length: int
    hidden_arguments: list[str] | tuple[str, ...]


class AllSettingsGiven(SettingsGiven, total=False):
    """What `app.conf.update(...)` takes by name."""

    broker: str | None
    backend: str | None


if TYPE_CHECKING:

    class Given(Generic[T_co, G_contra]):
        """A setting that is read as one type and takes another."""

        def __get__(self, settings: object, kind: type[Any] | None = None) -> T_co: ...
        def __set__(self, settings: object, value: G_contra) -> None: ...

    def default(value: Any) -> Any:
        """The default of such a setting."""

else:

    class Given:
        """`Given[float, Seconds]` is, when it runs, a float."""

        def __class_getitem__(cls, types: tuple[Any, Any]) -> Any:
            return types[0]

    def default(value: Any) -> Any:
        """The default of such a setting."""
        return value
