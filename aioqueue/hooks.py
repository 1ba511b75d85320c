"""The hooks of a task's class, and what they are told."""

from __future__ import annotations

import inspect
from typing import Any, Final, Self

from aioqueue.awaiting import Done
from aioqueue.exceptions import ConfigurationError


class ExceptionInfo(str):
    """The traceback of what a task raised, as text, as hooks are given it; with the names that Celery's `einfo` has.

    Attributes:
        exception: what it raised; None after a success.
    """

    exception: BaseException | None

    @classmethod
    def of(cls, exception: object, traceback: str) -> Self:
        """That of an exception; of a result it is empty."""
        found = cls(traceback)
        found.exception = exception if isinstance(exception, BaseException) else None
        return found

    @property
    def traceback(self) -> str:
        """The text."""
        return str(self)


_NOTHING: Final = Done(None)


class Hooks:
    """The hooks of a task's class, which do nothing here. What they give may be awaited, for one that is a coroutine
    writes `await super().on_success(...)`, and may be dropped."""

    def before_start(self, task_id: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Called before the function."""
        return _NOTHING

    def on_success(self, result: Any, task_id: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Called when the function has returned."""
        return _NOTHING

    def on_failure(
        self,
        exception: BaseException,
        task_id: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        traceback: ExceptionInfo,
    ) -> Any:
        """Called when the task has failed for good; not for a `Reject`."""
        return _NOTHING

    def on_retry(
        self,
        exception: BaseException,
        task_id: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        traceback: ExceptionInfo,
    ) -> Any:
        """Called when the task is to be run again."""
        return _NOTHING

    def after_return(
        self,
        state: str,
        result: Any,
        task_id: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        traceback: ExceptionInfo,
    ) -> Any:
        """Called once, at the end: after `on_success` or `on_failure`, and after a `Reject` that ends it."""
        return _NOTHING


HOOKS: Final = ("before_start", "on_success", "on_failure", "on_retry", "after_return")
"""Their names."""


def hooks_of(task: Hooks, name: str) -> frozenset[str]:
    """The hooks that a task's class defines.

    Raises:
        ConfigurationError: one cannot be called with what it is told.
    """
    kind = type(task)
    found = frozenset(hook for hook in HOOKS if getattr(kind, hook) is not getattr(Hooks, hook))
    for hook in found:
        words = list(inspect.signature(getattr(Hooks, hook)).parameters)[1:]
        try:
            inspect.signature(getattr(task, hook)).bind(*words)
        except TypeError:
            raise ConfigurationError(
                f"{kind.__name__}.{hook} cannot be called with ({', '.join(words)}), which it is told. The task {name} "
                "was not made."
            ) from None
        except ValueError:  # it is not written in Python, and does not say what it takes
            pass
    return found
