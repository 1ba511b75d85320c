"""Whether what was sent is what a test asks for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

import msgspec

from aioqueue.exceptions import suggest
from aioqueue.message import stamps_of
from aioqueue.options import OF_CALLS, milliseconds
from aioqueue.payload.plain import to_plain
from aioqueue.task import Task
from aioqueue.testing.sent import Sent, call_text

if TYPE_CHECKING:
    from aioqueue.core import Core

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
Reading = tuple[Arguments | None, dict[str, Any]]


class Wanted:
    """A call that a test asks for.

    Keyword arguments that are no parameters of the task's function, but options of sending, are compared with the
    options. Without any arguments, every call of the task is meant.

    Args:
        app: whose task it is.
        task: the task, its name, or the task with options: `add.options(queue="high")`.
        args, kwargs: of the call, and options of the sending.

    Raises:
        TypeError: the task cannot be called like that.
    """

    def __init__(self, app: Core, task: Task[..., Any] | str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.name = task.name if isinstance(task, Task) else task
        known = task if isinstance(task, Task) else app.tasks.get(task)
        self._parameters = known.parameters if known is not None else None
        self._signature = self._parameters.signature if self._parameters is not None else None
        self._text = call_text(self.name, args, kwargs)
        self._send_options = dict(task.send_options) if isinstance(task, Task) else {}
        self._readings = self._read(args, dict(kwargs))

    def __str__(self) -> str:
        with_options = (
            f" with {', '.join(f'{k}={v!r}' for k, v in self._send_options.items())}" if self._send_options else ""
        )
        return self._text + with_options

    def fits(self, sent: Sent) -> bool:
        """Whether that is it."""
        if sent.task != self.name:
            return False
        return any(
            self._same_arguments(arguments, sent) and _same_options({**self._send_options, **options}, sent)
            for arguments, options in self._readings
        )

    def _read(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Reading]:
        """What the words may mean: of a function with `**kwargs`, an option's name may be an argument's as well."""
        extra = self._extra_options(kwargs)
        options = {name: kwargs[name] for name in extra}
        rest = {name: value for name, value in kwargs.items() if name not in extra}
        readings: list[Reading] = [((args, rest) if args or rest else None, options)]
        if options and (self._signature is None or _takes_any(self._signature)):
            readings.append(((args, kwargs), {}))
        if self._signature is not None and (args or rest):
            try:
                self._signature.bind(*args, **rest)
            except TypeError as error:
                wrong = next((name for name in rest if name not in self._signature.parameters), "")
                raise self._misfit(f"{error}.{suggest(wrong, OF_CALLS)}") from None
            if self._parameters is not None and (problem := self._parameters.mistaken(args, rest)) is not None:
                raise self._misfit(f"{problem}.")
        return readings

    def _misfit(self, why: str) -> TypeError:
        text = self._parameters.text if self._parameters is not None else ""
        return TypeError(f"{self._text} does not fit {self.name}{text}: {why}")

    def _extra_options(self, kwargs: Mapping[str, Any]) -> set[str]:
        parameters: Mapping[str, Parameter] = self._signature.parameters if self._signature is not None else {}
        return {name for name in kwargs if name in OF_CALLS and name not in parameters}

    def _same_arguments(self, wanted: Arguments | None, sent: Sent) -> bool:
        if wanted is None:
            return True
        if self._signature is None:
            return _same(list(wanted[0]), list(sent.args)) and _same(wanted[1], sent.kwargs)
        there, here = _bound(self._signature, wanted), _bound(self._signature, (sent.args, sent.kwargs))
        if there is None or here is None:
            return False
        return there.keys() == here.keys() and all(_same(there[name], here[name]) for name in there)


def _bound(signature: Signature, call: Arguments) -> dict[str, Any] | None:
    try:
        bound = signature.bind(*call[0], **call[1])
    except TypeError:
        return None
    bound.apply_defaults()
    return bound.arguments


def _takes_any(signature: Signature) -> bool:
    return any(parameter.kind is Parameter.VAR_KEYWORD for parameter in signature.parameters.values())


def _same(wanted: Any, sent: Any) -> bool:
    """Equal, or equal as plain data: a list stands for a tuple, a dict for a dataclass."""
    try:
        return bool(wanted == sent) or bool(_plain(wanted) == _plain(sent))
    except Exception:  # of msgpack, for what it has no form for, and of the values' own code
        return False


def _plain(value: Any) -> Any:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(value, enc_hook=to_plain))


def _same_options(wanted: Mapping[str, Any], sent: Sent) -> bool:
    return all(_same_option(name, value, sent) for name, value in wanted.items())


def _same_option(name: str, wanted: Any, sent: Sent) -> bool:
    message = sent.message
    match name:
        case "task_id":
            return wanted == sent.id
        case "headers" | "stamps":  # middleware may have added others
            there: dict[str, Any] = sent.headers if name == "headers" else stamps_of(message)
            return not there if wanted is None else all(_same(wanted[key], there.get(key)) for key in wanted)
        case "countdown" | "eta" | "expires":
            at = message.expires if name == "expires" else message.eta
            if isinstance(wanted, int | float):
                wanted = message.sent + wanted * 1000
                return at is not None and abs(at - wanted) <= 1
            if isinstance(wanted, datetime):
                return at == milliseconds(wanted)
            there_at = sent.expires if name == "expires" else sent.countdown if name == "countdown" else sent.eta
            return bool(wanted == there_at)
        case "queue" | "priority" | "routing_key" | "max_retries" | "soft_time_limit" | "time_limit" | "ignore_result":
            return bool(wanted == getattr(message, name))
        case _:
            return bool(wanted == sent.options.get(name))
