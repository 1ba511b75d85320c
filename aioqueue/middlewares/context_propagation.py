"""What a program knows of its surroundings travels along: contextvars, and the trace that a task belongs to.

A run has a context of its own, which ends with it, so nothing that is set in it has to be put back; and a replacement,
which is sent when the function has ended, still finds it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import ContextVar
from importlib import import_module
from typing import Any, cast

from aioqueue import kinds
from aioqueue.around.leaving import OutgoingMessage
from aioqueue.around.middleware import Middleware, Next
from aioqueue.context import TaskContext
from aioqueue.exceptions import ConfigurationError

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

    Args:
        variables: their values must be such as headers may have.
        trace: the W3C headers `traceparent` and `tracestate` travel along, too: those of OpenTelemetry where that is
            installed (with its baggage), else of the variables of these names in this module.
        header: the header in which the values travel, by the names of the variables.

    Raises:
        ConfigurationError: something is no `ContextVar`, or two have one name.
    """

    def __init__(self, *variables: ContextVar[Any], trace: bool = True, header: str = "context") -> None:
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

    async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
        """Put the values into the headers; what the sender has put there counts for more."""
        values = {name: variable.get(_MISSING) for name, variable in self._variables.items()}
        values = {name: value for name, value in values.items() if value is not _MISSING}
        if values:
            own = message.headers.get(self._header)
            message.headers[self._header] = {**values, **own} if isinstance(own, Mapping) else values
        if self._trace and "traceparent" not in message.headers:
            self._add_trace(message.headers)
        return await next(message)

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
            elif self._telemetry is not None:
                self._telemetry.attach(headers)
            traceparent.set(parent)
            tracestate.set(state if isinstance(state, str) else None)
        return await next(ctx)


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
