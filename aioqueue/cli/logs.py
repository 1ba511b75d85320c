"""Logging of the commands that stay: to stderr or a file, as text or as JSON lines."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from datetime import datetime
from typing import IO, Any, TypeVar

import click

from aioqueue.cli.terminal import is_fancy

LEVELS = ("debug", "info", "warning", "error", "critical")
_FATAL = "fatal"
"""Python's and Celery's other word for the last of them."""
_COLOURS = {"DEBUG": "cyan", "INFO": "green", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "magenta"}
_OURS = "aioqueue"
_C = TypeVar("_C", bound=Callable[..., Any])
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CELERYS = frozenset({"task_name", "task_queue", "task_retries"})


def log_options(command: _C) -> _C:
    """The options `--loglevel`, `--logformat` and `--logfile` of a command."""
    level = click.option(
        "-l",
        "--loglevel",
        type=click.Choice([*LEVELS, _FATAL], case_sensitive=False),
        default="info",
        metavar="LEVEL",
        help="debug, info, warning, error or critical; by default info.",
    )
    form = click.option(
        "--logformat",
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Lines or JSON.",
    )
    file = click.option(
        "-f", "--logfile", type=click.Path(dir_okay=False), help="In place of stderr; %n, %h, %p as in a worker's name."
    )
    return level(form(file(command)))


def log_file(pattern: str, name: str, number: int = 0) -> str:
    """The path of a log file.

    Args:
        pattern: with Celery's marks: `%n` is the worker's name up to its `@`, `%h` the host's name, `%d` its domain,
            `%p` the process id, `%i` the number of the process where there are several, else 0, and `%I` the same
            after a hyphen, else nothing.
        name: the worker's, with marks of its own.
        number: that of the process; 0 where there is one.
    """
    if "%" not in pattern:
        return pattern
    from aioqueue.worker.naming import name_of

    own = name_of(name).partition("@")[0].replace("/", "-")
    pattern = numbered(pattern, number).replace("%n", own)
    return name_of(pattern)


def numbered(pattern: str, number: int) -> str:
    """Such a pattern with the number of the process filled in; 0 where there is one."""
    return pattern.replace("%i", str(number)).replace("%I", f"-{number}" if number else "")


def set_up_logging(level: str, form: str = "text", file: str | None = None) -> None:
    """Send what is logged in this process to stderr, or to a file.

    What the user's code has set up already (handlers of the root logger) is left as it is.

    Args:
        level: one of `LEVELS`.
        form: "text", in colour on a terminal, or "json", an object a line.
        file: in place of stderr.

    Raises:
        FileError: it cannot be written.
    """
    logging.captureWarnings(True)
    logging.getLogger(_OURS).setLevel(level.upper())
    root = logging.getLogger()
    if root.handlers:
        return
    try:
        handler = logging.FileHandler(file, encoding="utf-8") if file else logging.StreamHandler(sys.stderr)
    except OSError as error:
        raise click.FileError(str(file), error.strerror) from error
    from aioqueue.task_logger import TaskFields  # which --help does without

    handler.addFilter(TaskFields())
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter(None if file else sys.stderr))
    root.addHandler(handler)
    root.setLevel(level.upper())


class TextFormatter(logging.Formatter):
    """`12:03:04.567 INFO  a message` on a terminal; elsewhere with the date, and without colours."""

    def __init__(self, stream: IO[str] | None) -> None:
        super().__init__()
        self._terminal = stream is not None and stream.isatty()
        self._colours = stream is not None and is_fancy(stream)

    def format(self, record: logging.LogRecord) -> str:
        """A record as one line, with the traceback below."""
        when = datetime.fromtimestamp(record.created).astimezone()
        time = when.strftime("%H:%M:%S.%f")[:-3] if self._terminal else when.isoformat(" ", "milliseconds")
        level = f"{record.levelname:<8}"
        message = record.getMessage()
        name = "" if record.name.partition(".")[0] == _OURS else f"[{record.name}] "
        task = _task_of(record, message)
        if self._colours:
            time = click.style(time, dim=True)
            level = click.style(level, fg=_COLOURS.get(record.levelname), bold=record.levelno >= logging.WARNING)
            name = click.style(name, dim=True) if name else ""
            task = click.style(task, dim=True) if task else ""
        line = f"{time} {level} {name}{task}{message}"
        if traceback := _traceback_of(self, record):
            line += "\n" + traceback
        if record.stack_info:
            line += "\n" + record.stack_info
        return line


class JsonFormatter(logging.Formatter):
    """An object a line: time, level, logger, message, and whatever the record carries besides."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as one line of JSON."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        left_out = _STANDARD | _said_twice(record)
        entry.update((name, value) for name, value in vars(record).items() if name not in left_out)
        if traceback := _traceback_of(self, record):
            entry["exception"] = traceback
        return json.dumps(entry, default=repr, ensure_ascii=False)


def _traceback_of(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """The traceback that goes with a record, in the words of who has logged it, if it has brought some."""
    if record.exc_text:
        return record.exc_text
    return formatter.formatException(record.exc_info) if record.exc_info and record.exc_info[0] is not None else ""


def _task_of(record: logging.LogRecord, message: str) -> str:
    """The task that wrote it, to be put before a message that does not name it."""
    fields = vars(record)
    id = fields.get("task_id")
    if not id or str(id) in message:
        return ""
    return f"{fields.get('task') or fields.get('task_name') or '?'}[{id}]: "


def _said_twice(record: logging.LogRecord) -> frozenset[str]:
    """Celery's names for fields that are there under ours, and those that are empty outside of tasks."""
    fields = vars(record)
    if "task_name" in fields and fields["task_name"] == fields.get("task"):
        return _CELERYS
    return _CELERYS | {"task_id"} if fields.get("task_id") == fields.get("task_name") == "" else frozenset()
