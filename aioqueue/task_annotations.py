"""The setting `task_annotations`: options of tasks that are said in the settings, and count before their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from aioqueue import kinds
from aioqueue.exceptions import ConfigurationError, suggest
from aioqueue.hooks import HOOKS
from aioqueue.options import OF_TASKS
from aioqueue.other_words import OF_HOOKS


def read_annotations(where: str, value: Any) -> Any:
    """The setting: a dict of options by the task's name, "*" for all; or a list of such.

    Args:
        where: which setting, and from where.
        value: what was given.

    Raises:
        ConfigurationError: it is something else, or says what is no option of tasks.
    """
    for table in _tables(where, value):
        for name, options in cast("Mapping[Any, Any]", table).items():
            if not isinstance(name, str) or not isinstance(options, Mapping):
                raise _wrong(where, {name: options})
            for option, said in cast("Mapping[Any, Any]", options).items():
                if option == "rate_limit":
                    raise ConfigurationError(
                        f"The setting {where} has a rate_limit for {name!r}: rate limits are not here yet."
                    )
                if option not in OF_TASKS or option in ("name", "middleware"):
                    hint = f" {OF_HOOKS}" if option in HOOKS else ""
                    raise ConfigurationError(
                        f"The setting {where} has {option!r} for {name!r}, which is no option of tasks that can be "
                        f"said there.{hint or suggest(str(option), OF_TASKS)}"
                    )
                OF_TASKS[option].of(f"The setting {where}, {option} of {name!r},", said)
    return {} if value is None else value


def annotated(annotations: Any, name: str) -> dict[str, Any]:
    """The options that the setting has for the task of that name: those for all of them, and over them its own."""
    found: dict[str, Any] = {}
    for table in _tables("task_annotations", annotations):
        found |= {**table.get("*", {}), **table.get(name, {})}
    return found


def _tables(where: str, value: Any) -> Iterator[Mapping[str, Mapping[str, Any]]]:
    if value is None:
        return
    if isinstance(value, Mapping):
        yield cast("Mapping[str, Mapping[str, Any]]", value)
    elif isinstance(value, list | tuple):
        for one in cast("Sequence[Any]", value):
            yield from _tables(where, one)
    else:
        raise _wrong(where, value)


def _wrong(where: str, value: Any) -> ConfigurationError:
    return ConfigurationError(
        f"The setting {where} has {kinds.shown(value)}: it takes a dict of options by the task's name, such as "
        "{'shop.tasks.add': {'time_limit': 10}, '*': {'acks_late': False}}, or a list of those."
    )
