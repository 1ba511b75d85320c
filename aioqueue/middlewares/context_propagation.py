"""What a program knows of its surroundings travels along: contextvars, and the trace that a task belongs to.

A run has a context of its own, which ends with it, so nothing that is set in it has to be put back; and a replacement,
which is sent when the function has ended, still finds it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import ContextVar
from enum import Enum
from importlib import import_module
from typing import Any, cast

from aioqueue import kinds
from aioqueue.around.leaving import OutgoingMessage
from aioqueue.around.middleware import Middleware, Next
from aioqueue.context import TaskContext
from aioqueue.exceptions import ConfigurationError, PayloadError
from aioqueue.logs import logger
from aioqueue.payload.codec import from_marked, to_marked
from aioqueue.payload.marks import NATIVE
from aioqueue.payload.plain import type_name

traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""The trace that this code belongs to, as the W3C header says it. Without OpenTelemetry a program may set it."""
tracestate: ContextVar[str | None] = ContextVar("tracestate", default=None)
"""What tracing systems add to that."""

# https://www.w3.org/TR/trace-context/: an id of zeros is none, and a version ff is not allowed.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_MISSING: Any = object()


class ContextPropagation(Middleware):
    """Sends chosen contextvars, and the trace, along with each message; in the task they are set.

        app.add_middleware(ContextPropagation(tenant, request_id))

    A variable that has no value where a task is sent has none in the task, or what it has where the worker was started.
    What a task sends has the same values, as far as it does not set others, and so have retries, the steps of a canvas
    and a replacement.

    A value arrives as what it was, or the sending is refused with the name of its variable: plain data do, such as
    numbers, text, dates, enums, and lists and dicts of these. No annotation says in the task what else it was, so that
    a dataclass or a model would come as a dict.

    Args:
        variables: whose values travel.
        trace: the W3C headers `traceparent` and `tracestate` travel along, too: those of OpenTelemetry where that is
            installed (with its baggage), else of the variables of these names in this module.
        header: the header in which the values travel, as a dict, by the names of the variables. Of what the sender has
            put into it himself a dict counts for more than the values; anything else is left alone, and none travel.

    Raises:
        ConfigurationError: something is no `ContextVar`, or two have one name.
    """

    in_children = True

    def __init__(self, *variables: ContextVar[Any], trace: bool = True, header: str = "aioqueue.context") -> None:
        self._variables: dict[str, ContextVar[Any]] = {}
        for variable in variables:
            if not isinstance(variable, ContextVar):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigurationError(f"ContextPropagation takes ContextVars, not {variable!r}.")
            if self._variables.setdefault(variable.name, variable) is not variable:
                raise ConfigurationError(
                    f"ContextPropagation gets two variables of the name {variable.name!r}, which could not be told "
                    "apart in a message: ContextVar(name) gives each its name."
                )
        self._header: str = kinds.NAME.of("The option header of ContextPropagation", header)
        self._trace: bool = kinds.FLAG.of("The option trace of ContextPropagation", trace)
        self._telemetry = _telemetry() if trace else None
        self._has_told = False

    async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
        """Put the values into the headers; what the sender has put there counts for more."""
        if self._variables:
            self._add_values(message)
        if self._trace and "traceparent" not in message.headers:
            self._add_trace(message.headers)
        return await next(message)

    def _add_values(self, message: OutgoingMessage) -> None:
        own = message.headers.get(self._header, {})
        if not isinstance(own, Mapping):
            self._tell(message)
            return
        values: dict[str, Any] = {}
        for name, variable in self._variables.items():
            if name not in own and (value := variable.get(_MISSING)) is not _MISSING:
                if type(value) not in NATIVE:
                    _check(name, value, message.name)
                values[name] = value
        if values:
            message.headers[self._header] = {**values, **own}

    def _tell(self, message: OutgoingMessage) -> None:
        if not self._has_told:
            self._has_told = True
            logger.warning(
                "The message of %s has a header %r of its sender's own, which is no dict: ContextPropagation leaves it "
                "alone, and sends no variables with it. Give the middleware another header: "
                "ContextPropagation(..., header=...). This is said once",
                message.name,
                self._header,
            )

    def _add_trace(self, headers: dict[str, Any]) -> None:
        if self._telemetry is not None:
            self._telemetry.inject(headers)
        if "traceparent" not in headers and (parent := traceparent.get()) is not None:
            headers["traceparent"] = parent
            if (state := tracestate.get()) is not None:
                headers["tracestate"] = state

    async def around_task(self, ctx: TaskContext, next: Next) -> Any:
        """Set the values for the run."""
        headers = ctx.headers
        values = headers.get(self._header)
        if isinstance(values, dict):  # a header of that name may be anybody's
            for name, value in cast("dict[Any, Any]", values).items():
                if (variable := self._variables.get(name)) is not None:
                    variable.set(value)
        if self._trace:
            parent, state = headers.get("traceparent"), headers.get("tracestate")
            if not isinstance(parent, str) or not _TRACEPARENT.fullmatch(parent):
                parent = state = None
            if self._telemetry is not None:  # there may be baggage without a trace
                self._telemetry.attach(headers if parent else {**headers, "traceparent": None, "tracestate": None})
            traceparent.set(parent)
            tracestate.set(state if isinstance(state, str) else None)
        return await next(ctx)


def _check(name: str, value: Any, task: str) -> None:
    """Refuse a value that would arrive as another one.

    Raises:
        PayloadError: it would, or it cannot be sent at all.
    """
    try:
        plain, _ = to_marked(value)
    except PayloadError as error:
        problem = str(error)
    else:
        try:
            if _is_as(value, from_marked(plain)):
                return
        except Exception:  # what is written cannot be read, such as a set of dataclasses
            pass
        problem = f"{type_name(type(value))} would not arrive as what it is: set the variable to plain data"
    raise PayloadError(
        f"The variable {name!r} of ContextPropagation cannot be sent with {task}: {problem}. Nothing was sent."
    ) from None


def _is_as(sent: Any, arrived: Any) -> bool:
    """Whether this is what was sent; of a class derived from text, numbers or dates the plain one does."""
    kind: Any = arrived.__class__
    if isinstance(sent, Enum):
        return kind is type(sent) and arrived == sent
    if not isinstance(sent, kind):
        return False
    if isinstance(sent, dict):
        pairs = zip(cast("dict[Any, Any]", sent).items(), cast("dict[Any, Any]", arrived).items(), strict=True)
        return all(_is_as(*keys) and _is_as(*values) for keys, values in (zip(*pair, strict=True) for pair in pairs))
    if isinstance(sent, (list, tuple)):
        return all(_is_as(*pair) for pair in zip(cast("list[Any]", sent), cast("list[Any]", arrived), strict=True))
    if isinstance(sent, (set, frozenset)):
        return bool(sent == arrived)
    return True


class _Telemetry:
    """OpenTelemetry's own way to put a trace into headers, and to take it out."""

    def __init__(self, propagate: Any, context: Any) -> None:
        self._propagate = propagate
        self._context = context

    def inject(self, headers: dict[str, Any]) -> None:
        carrier: dict[str, str] = {}
        self._propagate.inject(carrier)
        for name, value in carrier.items():
            headers.setdefault(name, value)

    def attach(self, headers: Mapping[str, Any]) -> None:
        carrier = {name: value for name, value in headers.items() if isinstance(value, str)}
        self._context.attach(self._propagate.extract(carrier))


def _telemetry() -> _Telemetry | None:
    try:
        return _Telemetry(import_module("opentelemetry.propagate"), import_module("opentelemetry.context"))
    except ImportError:
        return None
