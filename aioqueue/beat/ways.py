"""How tasks are sent by themselves: their queue, priority and expiry.

A schedule is fired by whichever scheduler leads, and that one may not have the task in its code: another program of the
namespace, or the old code beside the new one during a deployment. So what the code that declares a schedule knows of
its tasks is stored with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any, TypeVar

from aioqueue.canvas.base import Canvas
from aioqueue.canvas.signatures import Signature
from aioqueue.options import over
from aioqueue.routing.addressing import own_way

if TYPE_CHECKING:
    from aioqueue.core import Core

_STORED = frozenset({"queue", "priority", "expires"})

C = TypeVar("C", bound=Canvas[Any])

Ways = Mapping[str, Mapping[str, Any]]
"""Options of the sending, by the task's name."""


def ways_of(app: Core, canvas: Canvas[Any]) -> dict[str, dict[str, Any]]:
    """Those of the tasks of a canvas that an app knows anything of."""
    found = {call.task: _way_of(app, call.task) for call, _ in _calls(canvas)}
    return {task: way for task, way in found.items() if way}


def with_ways(app: Core, canvas: C, ways: Ways) -> C:
    """A copy in which each task that has no word of its own is sent as it is by itself: as the app knows, or else as
    was stored."""
    found = canvas.clone()
    for call, said in _calls(found):
        known = _way_of(app, call.task)
        way = known if call.task in app.tasks else ways.get(call.task, known)
        unsaid = over(way, dict.fromkeys(said))
        call.options = {**{option: value for option, value in unsaid.items() if option not in said}, **call.options}
    return found


def _way_of(app: Core, name: str) -> dict[str, Any]:
    """Nothing where a function of `task_routes` is to be asked with each call: whoever fires it asks."""
    way = own_way(app, app.tasks.get(name) or name)
    return {} if way is None else {word: value for word, value in way.items() if word in _STORED}


def _calls(canvas: Canvas[Any]) -> Iterator[tuple[Signature[Any], Set[str]]]:
    """Its single tasks, links and handlers too; each with the names of the options that count for it."""
    # A stack of our own: canvases nest without limits.
    pending: list[tuple[Canvas[Any], Set[str]]] = [(canvas, set[str]())]
    while pending:
        one, around = pending.pop()
        said = around | one.options.keys()
        if isinstance(one, Signature):
            yield one, said
        pending += [(part, said) for part in one.contents()]
        pending += [(beside, set[str]()) for beside in (*one.links, *one.errbacks)]
