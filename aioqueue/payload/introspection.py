"""What a function's signature says: parameters, annotations as objects, and a text for people."""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Collection
from inspect import Parameter
from typing import Any, Final, cast

POSITIONAL: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
UNIONS: Final = (typing.Union, types.UnionType)
NAMED: Final = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def signature_of(function: Callable[..., Any], skip_first: bool, exclude: Collection[str]) -> inspect.Signature:
    """The signature of a call from outside: without the first parameter, or the excluded ones."""
    try:
        if sys.version_info >= (3, 14):
            from annotationlib import Format

            signature = inspect.signature(function, annotation_format=Format.FORWARDREF)
        else:
            signature = inspect.signature(function)
    except (TypeError, ValueError):
        # Some builtins tell nothing: any call fits.
        several = (Parameter("args", Parameter.VAR_POSITIONAL), Parameter("kwargs", Parameter.VAR_KEYWORD))
        return inspect.Signature(several)
    parameters = list(signature.parameters.values())
    if skip_first and parameters and parameters[0].kind in POSITIONAL:
        del parameters[0]  # *args takes the context as well, and stays
    kept = [p for p in parameters if p.name not in exclude]
    return signature.replace(parameters=kept)


def annotations_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations as objects. One that leads nowhere is left out; the others stay."""
    target: Any = inspect.unwrap(function)
    while isinstance(target, functools.partial):
        target = cast("Any", target).func
    if inspect.isclass(target):
        target = target.__init__
    elif not inspect.isroutine(target):
        target = type(target).__call__
    try:
        return typing.get_type_hints(target, include_extras=True)
    except Exception:
        pass
    scope = getattr(inspect.unwrap(target), "__globals__", {})
    hints: dict[str, Any] = {}
    try:
        annotations = dict(target.__annotations__)
    except Exception:
        return hints
    for name, annotation in annotations.items():
        alone = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            hints |= typing.get_type_hints(alone, scope, include_extras=True)
        except Exception:
            continue
    return hints


def hints_of(cls: type) -> dict[str, Any]:
    """The annotations of a class's fields; none if one of them leads nowhere."""
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except Exception:
        return {}


def stripped(annotation: Any) -> Any:
    """Through NewType and `type X = ...`, which are names for something else."""
    for _ in range(32):
        if hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            break
    return annotation


def annotation_text(annotation: Any) -> str:
    """An annotation as it is written."""
    return inspect.formatannotation(annotation)[:200]


def text_of(signature: inspect.Signature) -> str:
    """`(to: str, subject: str = '') -> dict[str, str]`. Never raises: annotations and defaults are anything."""
    try:
        parameters = [
            p.replace(annotation=_Text.of(p.annotation), default=_Text.of_default(p.default))
            for p in signature.parameters.values()
        ]
        returned = _Text.of(signature.return_annotation)
        return str(signature.replace(parameters=parameters, return_annotation=returned))
    except Exception:
        return "(...)"


class _Text:
    """Stands for an annotation or a default while a signature is written as text."""

    def __init__(self, text: str) -> None:
        self._text = text if len(text) <= 80 else text[:77] + "..."

    def __repr__(self) -> str:
        return self._text

    @classmethod
    def of(cls, annotation: Any) -> Any:
        if annotation is Parameter.empty:
            return annotation
        return cls(annotation if isinstance(annotation, str) else inspect.formatannotation(annotation))

    @classmethod
    def of_default(cls, default: Any) -> Any:
        return default if default is Parameter.empty else cls(repr(default))
