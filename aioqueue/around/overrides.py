"""Other functions in the place of dependencies, for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aioqueue.around.depends import check_function
from aioqueue.around.wishes import class_of, identity, name_of
from aioqueue.exceptions import suggest
from aioqueue.logs import logger

if TYPE_CHECKING:
    from aioqueue.core import Core


class Override:
    """A dependency that is overridden while a `with` block lasts: see `AioQueue.override`.

    Args:
        app: whose tasks.
        dependency: the function that they depend on.
        replacement: what is called in its place.
    """

    def __init__(self, app: Core, dependency: Callable[..., Any], replacement: Callable[..., Any]) -> None:
        check_function(dependency, "override")
        check_function(replacement, "override")
        self._app = app
        dependency = class_of(dependency)
        self._dependency = dependency  # or its identity could become another one's
        self._pair = (identity(dependency), class_of(replacement))

    def begin(self) -> None:
        """From now on, for what begins to run; begun already, it goes on.

        Raises:
            ConfigurationError: what would be opened then cannot be. Nothing is overridden.
        """
        if any(pair is self._pair for pair in self._app.overrides):
            return
        self._app.overrides.append(self._pair)
        try:
            self._apply()
        except BaseException:
            self.end()
            raise
        self._warn_if_unused()

    def end(self) -> None:
        """No longer."""
        pairs = self._app.overrides
        position = next((at for at, pair in enumerate(pairs) if pair is self._pair), None)
        if position is not None:
            del pairs[position]
            self._apply()

    def _warn_if_unused(self) -> None:
        """A copy of a function, or one that another calls, is easily taken for the one that tasks depend on."""
        plans = [task.dependencies.plan for task in self._app.tasks.values() if task.dependencies is not None]
        functions = [provider.function for plan in plans for provider in plan.providers]
        if any(identity(function) == self._pair[0] for function in (*functions, *self._replacing())):
            return
        full = _full_name(self._dependency)
        names = {_full_name(function) for function in functions}
        hint = suggest(full, names - {full})
        if full in names:
            hint = " One does on another function of that name: was its module imported twice, or reloaded?"
        logger.warning("No task of %s depends on %s, which is overridden.%s", self._app.name, full, hint)

    def _replacing(self) -> Iterator[Any]:
        """What is opened in the place of others, with what it needs."""
        for task in self._app.tasks.values():
            if task.dependencies is not None:
                plan = task.dependencies.under(self._app.overrides[:-1]).plan
                yield from (provider.function for provider in plan.providers)

    def _apply(self) -> None:
        for task in self._app.tasks.values():
            if task.dependencies is not None:
                self._app.surround(task)

    def __enter__(self) -> Override:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()


def _full_name(function: Any) -> str:
    return f"{getattr(function, '__module__', None) or '?'}.{name_of(function)}"
