"""Failures and traces for Sentry. `sentry_sdk.init(...)` is the program's own matter, as ever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextvars import ContextVar
from importlib import import_module
from typing import Any

from aioqueue import kinds
from aioqueue.arguments import arguments_text, hidden_words, is_hidden
from aioqueue.around.leaving import OutgoingMessage
from aioqueue.around.middleware import Middleware, Next
from aioqueue.context import TaskContext
from aioqueue.exceptions import ConfigurationError, Ignore, Reject, Replace, Retry
from aioqueue.worker.leaves import is_retried, said

_ORIGIN = "auto.queue.aioqueue"
_TRACE = ("sentry-trace", "baggage")
_is_set_up = False
# What there is to say of the run's failure was said: an event was made of it, or none is to be.
_is_dealt_with: ContextVar[bool] = ContextVar("aioqueue_sentry_is_dealt_with", default=False)


class Sentry(Middleware):
    """Reports the failures of tasks to Sentry, each once and with its task; traces go on from senders to tasks.

        sentry_sdk.init(dsn, traces_sample_rate=0.1)
        app.add_middleware(Sentry())

    A failure is what a task has raised, and is not run again for: no retry that is still to come (`capture_retries`
    reports those, too), no `Ignore` or replacement, and no `Reject`, nor the line in which the log tells of that. Such
    a run is a transaction with the status `aborted`. What ends a task from outside, as its time limit does, is an error
    in the log, which Sentry's own integration of `logging` reports. Arguments whose names contain one of
    `hidden_arguments` are left out, of the variables in stack frames as well.

    Args:
        capture_retries: report failures that are retried, too.

    Raises:
        ConfigurationError: `sentry_sdk` is not installed.
    """

    def __init__(self, *, capture_retries: bool = False) -> None:
        try:
            self._sdk: Any = import_module("sentry_sdk")
        except ImportError:
            raise ConfigurationError("Sentry() needs sentry_sdk: pip install 'aioqueue[sentry]'.") from None
        self._capture_retries: bool = kinds.FLAG.of("The option capture_retries of Sentry", capture_retries)
        _report_once()

    async def around_send(self, message: OutgoingMessage, next: Next) -> Any:
        """Send the trace along; where one is recorded, the sending is a span of it."""
        sdk = self._sdk
        if not sdk.is_initialized():
            return await next(message)
        around = sdk.get_current_span()
        if around is None:
            found = {"sentry-trace": sdk.get_traceparent(), "baggage": sdk.get_baggage()}
            _add(message, found)
            return await next(message)
        # Not entered: it would be the current span of whatever is sent beside this message, too.
        span = around.start_child(op="queue.publish", name=message.name, origin=_ORIGIN)
        baggage = span.to_baggage()
        _add(
            message,
            {"sentry-trace": span.to_traceparent(), "baggage": baggage.serialize() if baggage is not None else None},
        )
        if "queue" in message.options:
            span.set_data("messaging.destination.name", message.options["queue"])
        try:
            result = await next(message)
            span.set_data("messaging.message.id", getattr(result, "id", None))
            return result
        except BaseException:
            span.set_status("internal_error")
            raise
        finally:
            span.finish()

    async def around_task(self, ctx: TaskContext, next: Next) -> Any:
        """Run it in a scope and a transaction of its own, and report its failure."""
        sdk = self._sdk
        if not sdk.is_initialized():
            return await next(ctx)
        with sdk.isolation_scope() as scope:
            scope.clear_breadcrumbs()
            hidden = hidden_words(ctx.task.app.conf.hidden_arguments)
            scope.set_transaction_name(ctx.name, source="task")
            scope.set_tags({"aioqueue.task": ctx.name, "aioqueue.task_id": ctx.id, "aioqueue.queue": ctx.queue})
            scope.set_context("aioqueue", _about(ctx, hidden))
            scope.add_event_processor(_Hiding(hidden))
            headers = {name: value for name in _TRACE if isinstance(value := ctx.headers.get(name), str)}
            transaction = sdk.continue_trace(headers, op="queue.process", name=ctx.name, source="task", origin=_ORIGIN)
            with sdk.start_transaction(transaction, custom_sampling_context={"aioqueue": {"task": ctx.name}}) as span:
                span.set_data("messaging.message.id", ctx.id)
                span.set_data("messaging.destination.name", ctx.queue)
                span.set_data("messaging.message.retry.count", ctx.retries)
                # The span is left without an exception: with one it takes each for an internal error.
                raised: BaseException | None = None
                result = None
                try:
                    result = await next(ctx)
                except BaseException as error:
                    raised = error
                span.set_status("ok" if raised is None else self._deal_with(ctx, raised))
            if raised is None:
                return result
            try:
                raise raised
            finally:
                del raised  # it holds this frame

    def _deal_with(self, ctx: TaskContext, error: BaseException) -> str:
        """Report what is to be reported; the status of the run."""
        failure = self._captures(ctx, error)
        if failure is not None:
            self._capture(failure)
            return "internal_error"
        if isinstance(said(error), Reject):  # the worker logs that as an error
            _is_dealt_with.set(True)
        return "aborted"

    def _captures(self, ctx: TaskContext, error: BaseException) -> BaseException | None:
        """What there is to report; the worker decides in the same way what becomes of the task."""
        error = said(error)
        if isinstance(error, Replace | Ignore | Reject | asyncio.CancelledError):
            return None
        asked = error if isinstance(error, Retry) else None
        failure = error if asked is None else asked.exc or asked
        if asked is None and not is_retried(ctx.task, error):
            return failure
        limit = asked.max_retries if asked is not None and asked.max_retries is not None else ctx.max_retries
        is_last = ctx.refused is error or (limit is not None and ctx.retries >= limit)
        return failure if is_last or (self._capture_retries and failure is not asked) else None

    def _capture(self, failure: BaseException) -> None:
        event, hint = self._sdk.utils.event_from_exception(
            failure,
            client_options=self._sdk.get_client().options,
            mechanism={"type": "aioqueue", "handled": False},
        )
        self._sdk.capture_event(event, hint)
        _is_dealt_with.set(True)


def _add(message: OutgoingMessage, headers: dict[str, str | None]) -> None:
    for name, value in headers.items():
        if value:
            message.headers.setdefault(name, value)


def _about(ctx: TaskContext, hidden: frozenset[str]) -> dict[str, Any]:
    return {
        "task": ctx.name,
        "task_id": ctx.id,
        "arguments": arguments_text(ctx.args, ctx.kwargs, ctx.task.parameters.positional_names, hidden),
        "queue": ctx.queue,
        "retries": ctx.retries,
        "deliveries": ctx.deliveries,
        "worker": ctx.hostname,
        "root_id": ctx.root_id,
    }


class _Hiding:
    """Takes the values of variables that are nobody's business out of events."""

    def __init__(self, hidden: frozenset[str]) -> None:
        self._hidden = hidden

    def __call__(self, event: Any, hint: Any) -> Any:
        for frame in _frames(event):
            if str(frame.get("module")).partition(".")[0] == "aioqueue":  # these hold the whole message
                frame.pop("vars", None)
                frame["in_app"] = False
            variables = frame.get("vars")
            for name in variables or ():
                if is_hidden(str(name), self._hidden):
                    variables[name] = "[Filtered]"
        return event


def _frames(event: Any) -> Iterator[Any]:
    for kind in ("exception", "threads"):
        values: list[Any] = event[kind]["values"] if event.get(kind) else []
        for one in values:
            if one.get("stacktrace"):
                yield from one["stacktrace"]["frames"]


def _report_once() -> None:
    """Sentry reports what is logged as an error, too; of a failure that was dealt with it is to leave that out."""
    global _is_set_up
    if not _is_set_up:
        _is_set_up = True
        import_module("sentry_sdk.scope").add_global_event_processor(_not_twice)


def _not_twice(event: Any, hint: Any) -> Any:
    text = str(event["logentry"]["message"]) if event.get("logentry") else ""
    is_end = event.get("logger") == "aioqueue" and text.startswith(("Task %s[%s] failed", "Task %s[%s] was rejected"))
    return None if is_end and _is_dealt_with.get() else event
