"""What a class of tasks may not define: what would do nothing, though whoever writes it thinks that it does."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import Any, Final

from aioqueue import other_words
from aioqueue.exceptions import ConfigurationError
from aioqueue.hooks import HOOKS
from aioqueue.options import OF_TASKS

# What Task has, and its subclasses define anew.
_FREE: Final = frozenset((*HOOKS, "abstract", "run"))
# What is looked at once, as a value, when a task is made.
_VALUES: Final = frozenset((*OF_TASKS, "name"))
_SENDING: Final = frozenset(("send", "delay", "apply_async", "call"))
_OF_A_RUN: Final = frozenset(("request", "retry", "update_state"))

# From so much alike on (1.0 is the same) another name is meant: users have names of their own.
_LIKE_A_HOOK: Final = 0.8
_LIKE_AN_OPTION: Final = 0.85


def check_class(kind: type[Any], root: type[Any], name: str) -> None:
    """Look at what a class of tasks defines.

    Args:
        kind: the class.
        root: `Task`.
        name: the name of the task that is made of it.

    Raises:
        ConfigurationError: something of it would do nothing.
    """
    own = {*vars(root), *root.__annotations__}
    for attribute, value in _defined(kind, root):
        if why := _in_vain(attribute, value, own):
            raise ConfigurationError(f"{kind.__name__}.{attribute} {why} The task {name} was not made.")


def _defined(kind: type[Any], root: type[Any]) -> Iterator[tuple[str, Any]]:
    """What its objects have of it and of the classes between, but not of `root`."""
    for one in kind.__mro__:
        if one in root.__mro__:
            continue
        for attribute, value in vars(one).items():
            if not attribute.startswith("__") and inspect.getattr_static(kind, attribute) is value:
                yield attribute, value


def _in_vain(attribute: str, value: Any, own: Collection[str]) -> str:
    """Why it would do nothing, as the rest of a sentence; "" where it does something, or is the user's."""
    if attribute in _VALUES:
        return _no_value(attribute, value)
    if attribute in _FREE:
        return ""
    if attribute in own:
        return _of_ours(attribute)
    if attribute in other_words.OF_TASKS:
        return "" if other_words.asks_for_nothing(attribute, value) else _not_looked_at(attribute)
    return _misspelt(attribute, value)


def _no_value(attribute: str, value: Any) -> str:
    if not hasattr(value, "__set__"):
        return ""
    kind = "property" if isinstance(value, property) else "descriptor"
    what = f"is a {kind}, and {attribute}"
    if attribute == "name":
        return f"{what} is looked at once, when the task is made: write a text, or @app.task(name=...)."
    return (
        f"{what} is an option, which is looked at once, when the task is made: write a value. What differs from call "
        "to call is an option of the call, or of a function in task_routes."
    )


def _of_ours(attribute: str) -> str:
    if attribute in _SENDING:
        return (
            "would not be called for all that is sent: send, delay, apply_async, signatures and schedules do not go "
            "through one another. What is to be done with each call that leaves, or decides whether it does, is "
            "around_send of a middleware: @app.task(middleware=[...]), or app.add_middleware(...)."
        )
    if attribute in _OF_A_RUN:
        return (
            f"would not be called by a bound function, whose self.{attribute} is its context's: give it a name of its "
            "own."
        )
    if attribute == "bind":
        return "says nothing: whether a function takes its context is @app.task(bind=True)."
    return f"would be taken for aioqueue's own {attribute}, which each task has: give it another name."


def _not_looked_at(attribute: str) -> str:
    return (
        "is nothing that aioqueue looks at in this version."
        f"{other_words.instead(other_words.OF_TASKS, attribute)} Take the attribute out, or give it another name if it "
        "is of your own."
    )


def _misspelt(attribute: str, value: Any) -> str:
    if attribute.startswith("_"):
        return ""
    if callable(value):
        what, meant = "no hook", get_close_matches(attribute, HOOKS, n=1, cutoff=_LIKE_A_HOOK)
    elif "_" in attribute and not hasattr(value, "__get__"):
        what, meant = "no option", get_close_matches(attribute, OF_TASKS, n=1, cutoff=_LIKE_AN_OPTION)
    else:
        return ""
    if not meant:
        return ""
    return (
        f"is {what}, and nobody would look at it. Did you mean {meant[0]!r}? If it is your own, give it another name."
    )
