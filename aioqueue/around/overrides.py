"""Other functions in the place of dependencies, for a while."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aioqueue.around.depends import check_function
from aioqueue.around.wishes import class_of, identity

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

    def end(self) -> None:
        """No longer."""
        pairs = self._app.overrides
        position = next((at for at, pair in enumerate(pairs) if pair is self._pair), None)
        if position is not None:
            del pairs[position]
            self._apply()

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
