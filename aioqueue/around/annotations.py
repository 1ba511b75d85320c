"""The annotations of a function as objects, when it is made a task: what Depends needs cannot wait until later."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from inspect import Signature, unwrap
from types import FrameType
from typing import Any, Final

from aioqueue.definition import call_of

_MOST_FRAMES: Final = 20
_MOST_QUOTES: Final = 3


class Unknown:
    """Stands for a name in an annotation that leads nowhere, such as one of `if TYPE_CHECKING`.

    Attributes:
        name: as it is written.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> Unknown:
        if name.startswith("__"):
            raise AttributeError(name)
        return Unknown(f"{self.name}.{name}")

    def __getitem__(self, item: Any) -> Unknown:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self

    def __or__(self, other: Any) -> Unknown:
        return self

    __ror__ = __or__


def read_annotations(function: Callable[..., Any], signature: Signature) -> dict[str, Any]:
    """The annotations of its parameters, by name.

    Those that are texts are read with the names that can be seen where the function is made, those of a function
    around it included. What leads nowhere is `Unknown`, so that the rest of an annotation can be read: only what it
    depends on has to be there.
    """
    read: dict[str, Any] = {}
    names: _Names | None = None
    for name, parameter in signature.parameters.items():
        annotation: Any = parameter.annotation
        for _ in range(_MOST_QUOTES):
            text = getattr(annotation, "__forward_arg__", annotation)
            if not isinstance(text, str):
                break
            names = names or _Names(function)
            annotation = names.read(text)
        read[name] = None if annotation is parameter.empty else annotation
    return read


class _Names(Mapping[str, Any]):
    """The names that a function's annotations may use."""

    def __init__(self, function: Callable[..., Any]) -> None:
        target: Any = unwrap(function)
        while isinstance(target, partial):
            target = unwrap(target.func)
        if isinstance(target, type):
            target = target.__init__
        target = getattr(target, "__func__", call_of(target) or target)
        self._globals: dict[str, Any] = getattr(target, "__globals__", {})
        code = getattr(target, "__code__", None)
        self._frames = [frame.f_locals for frame in _frames(code.co_filename)] if code is not None else []

    def read(self, text: str) -> Any:
        """An annotation's value."""
        try:
            return eval(text, {}, self)
        except Exception:
            return Unknown(text)

    def __getitem__(self, name: str) -> Any:
        for names in (*self._frames, self._globals, vars(builtins)):
            if name in names:
                return names[name]
        return Unknown(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._globals)

    def __len__(self) -> int:
        return len(self._globals)


def _frames(file: str) -> Iterator[FrameType]:
    """The calls under way of functions of that file, the innermost first: a function that makes a task, and those
    around it."""
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    for _ in range(_MOST_FRAMES):
        if frame is None:
            return
        if frame.f_code.co_filename == file and frame.f_locals is not frame.f_globals:
            yield frame
        frame = frame.f_back
