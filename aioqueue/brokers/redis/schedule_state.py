"""What is stored of a schedule beside its definition."""

from __future__ import annotations

import msgspec

from aioqueue.brokers.protocol import StoredSchedule


class State(msgspec.Struct, array_like=True, frozen=True):
    """As the scripts read and write it, which know the fields by name (`SCHEDULE`). A time that is none is false: in
    Lua, nothing would be a hole in the array."""

    source: str
    due: int | bool
    at: int | bool
    paused: bool
    last_due: int | bool
    last_id: str
    recent: tuple[str, ...]
    runs: int
    misfires: int
    revision: int


def encode_state(schedule: StoredSchedule) -> bytes:
    """What is stored of it."""
    values = [getattr(schedule, field) for field in State.__struct_fields__]
    return msgspec.msgpack.encode([false_or(value) for value in values])


def decode_schedule(name: str, state: bytes, definition: bytes, problem: str) -> StoredSchedule:
    """A schedule of what is stored of it; or with the problem, where that cannot be read."""
    try:
        found = msgspec.msgpack.decode(state, type=State)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        problem = f"{problem or 'what is stored of it cannot be read'} ({error}): {state[:100]!r}"
    else:
        if not problem:
            return StoredSchedule(
                name=name,
                definition=definition,
                source=found.source,
                due=_time(found.due),
                at=_time(found.at),
                paused=found.paused,
                last_due=_time(found.last_due),
                last_id=found.last_id,
                recent=found.recent,
                runs=found.runs,
                misfires=found.misfires,
                revision=found.revision,
            )
    return StoredSchedule(name=name, definition=definition, source="", due=None, at=None, problem=problem)


def false_or(value: object) -> object:
    """A value as the scripts take it."""
    return False if value is None else value


def _time(value: int | bool) -> int | None:
    return None if isinstance(value, bool) else value
