"""What the settings say of every run. It is read once for all that is fetched together.

A look into `app.conf` takes ten times as long as one at a plain object, for it knows Celery's names, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aioqueue.settings import Settings


class RunSettings(msgspec.Struct, frozen=True):
    """Settings as they were when a task was taken in, each under its own name; they count until its end."""

    max_payload_size: int
    max_deliveries: int
    accept_content: Sequence[str] | None
    task_acks_late: bool
    task_soft_time_limit: float | None
    task_time_limit: float | None
    task_ignore_result: bool
    task_serializer: str
    task_compression: str | None
    result_compression: str | None


def run_settings(conf: Settings) -> RunSettings:
    """What counts now."""
    return RunSettings(*[getattr(conf, name) for name in RunSettings.__struct_fields__])
