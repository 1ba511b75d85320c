"""Plays, drawn at random."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from .plays import Call, Chain, Chord, Chunks, Group, Handler, Spec, tidied


def canvases() -> st.SearchStrategy[Spec]:
    """Canvases of some depth."""
    return _canvases(3).map(tidied)


def _canvases(depth: int) -> st.SearchStrategy[Spec]:
    if depth == 0:
        return _small_calls
    inner = st.deferred(lambda: _canvases(depth - 1))
    beside = {
        "links": _rarely([], st.lists(st.deferred(lambda: _canvases(max(0, depth - 2))), min_size=1, max_size=2)),
        "handlers": _rarely([], st.lists(_handlers, min_size=1, max_size=2)),
    }
    headers = st.builds(Group, st.lists(inner, max_size=4), stream=st.booleans(), **beside)
    return st.one_of(
        _calls_with(inner, beside),
        st.builds(Chain, st.lists(inner, min_size=1, max_size=4), piped=st.booleans(), **beside),
        headers,
        st.builds(Chord, headers, inner, lenient=st.booleans(), **beside),
        st.builds(Chunks, items=st.integers(0, 4), size=st.integers(1, 3), **beside),
    )


def _rarely(usual: Any, unusual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 4).flatmap(lambda die: unusual if die == 4 else st.just(usual))


_handlers = st.builds(Handler, immutable=st.booleans(), fails=_rarely(False, st.just(True)))
_plain: dict[str, Any] = {
    "gives": st.sampled_from(["value", "value", "value", "value", "nothing", "big", "failure"]),
    "retries": _rarely(0, st.integers(1, 2)),
    "immutable": _rarely(False, st.just(True)),
    "items": _rarely(None, st.integers(-1, 2)),
    "thread": _rarely(False, st.just(True)),
    "later": _rarely(False, st.just(True)),
    "named": _rarely(False, st.just(True)),
}
_small_calls = st.builds(Call, **_plain, handlers=_rarely([], st.lists(_handlers, min_size=1, max_size=1)))


def _calls_with(inner: st.SearchStrategy[Spec], beside: dict[str, Any]) -> st.SearchStrategy[Spec]:
    gives = {**_plain, "gives": st.sampled_from(["value", "nothing", "big", "failure", "canvas", "canvas", "canvas"])}
    return st.builds(Call, **gives, canvas=inner, adds=_rarely([], st.lists(inner, min_size=1, max_size=2)), **beside)
