"""The logger of aioqueue itself. Programs decide what becomes of it; the `aioqueue` command sets it up."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger("aioqueue")


def log_with_fields(
    level: int,
    text: str,
    *arguments: object,
    fields: Mapping[str, Any],
    error: BaseException | None = None,
    traceback: str = "",
) -> None:
    """Log a line that has fields of its own, which handlers may write beside it.

    It takes less than `logger.log(..., extra=fields)`, which looks for its caller, and raises no `KeyError` where a
    record factory of the program has made fields of the same names.

    Args:
        level: of `logging`.
        text, arguments: as `logger.log` takes them.
        fields: by name.
        error: what the line is about; handlers that look at exceptions themselves find it in `exc_info`.
        traceback: its text, which is written below the line in the place of what `logging` would make of it.
    """
    if not logger.isEnabledFor(level):
        return
    about = None if error is None else (type(error), error, error.__traceback__)
    record = logger.makeRecord(logger.name, level, __file__, 0, text, arguments, about, "log_with_fields")
    if traceback:
        record.exc_text = traceback.rstrip()
    record.__dict__.update(fields)
    logger.handle(record)
