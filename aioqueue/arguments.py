"""A call's arguments as short text for people, without what is nobody's business."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from reprlib import Repr
from typing import Any

_short = Repr()
_short.maxstring = _short.maxother = 80
_short.maxlist = _short.maxtuple = _short.maxdict = _short.maxset = 6
_short.maxlevel = 3
_MOST = 400
_FEW = 6


def arguments_text(
    args: tuple[Any, ...], kwargs: dict[str, Any], names: Collection[str], hidden: frozenset[str]
) -> str:
    """`'a', 2, password=***`.

    Args:
        args, kwargs: the call's.
        names: the names of the function's positional parameters.
        hidden: words; an argument whose name contains one of them is not shown.
    """
    shown: list[str] = []
    for name, value in zip([*names, *[""] * len(args)], args, strict=False):
        shown.append("***" if is_hidden(name, hidden) else value_text(value))
    for name, value in kwargs.items():
        shown.append(f"{name}={'***' if is_hidden(name, hidden) else value_text(value)}")
    text = ", ".join(shown)
    return text if len(text) <= _MOST else text[:_MOST] + "…"


def calls_text(
    calls: Sequence[tuple[Any, ...]], kwargs: dict[str, Any], names: Collection[str], hidden: frozenset[str]
) -> str:
    """The same for several calls that one task makes: `[('a', ***), ('b', ***), ...]`."""
    shown = [f"({arguments_text(call, kwargs, names, hidden)})" for call in calls[:_FEW]]
    text = ", ".join([*shown, "…"] if len(calls) > _FEW else shown)
    return f"[{text if len(text) <= _MOST else text[:_MOST] + '…'}]"


def hidden_words(words: Iterable[str]) -> frozenset[str]:
    """The setting `hidden_arguments`, as it is looked up in."""
    return frozenset(word.lower() for word in words)


def is_hidden(name: str, hidden: Collection[str]) -> bool:
    """Whether the value of an argument of that name is not shown; `hidden` are words in lower case."""
    lowered = name.lower()
    return any(word in lowered for word in hidden)


def value_text(value: Any) -> str:
    """A value as short text; whatever it is, this does not fail."""
    if type(value) is int or value is None or type(value) is bool or type(value) is float:
        return repr(value)
    try:
        return _short.repr(value)
    except Exception:  # a repr of the user's own
        return f"<{type(value).__name__}>"
