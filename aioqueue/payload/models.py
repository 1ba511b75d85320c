"""pydantic models and dataclasses, by the names of their fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, NamedTuple, cast

import msgspec

from aioqueue.payload.plain import MAKERS, Unsendable, dump_model, to_plain, type_name
from aioqueue.payload.schemas import Model, model_of

_AS_IT_IS = "send its fields to a parameter that is not annotated with it"


class _Form(NamedTuple):
    """How a model and the models in it are written.

    Attributes:
        by_alias: by the aliases of their fields, not by their names.
        only_set: without the fields that nobody has set.
    """

    by_alias: bool = False
    only_set: bool = False


_WHOLE: Final = (_Form(), _Form(by_alias=True))
_ONLY_SET: Final = (_Form(only_set=True), _Form(by_alias=True, only_set=True))


def lower_model(value: Any, *, only_set: bool = False) -> tuple[Any, Callable[[], Any] | None]:
    """The fields of a model, and what to send if these can't be.

    By the names of the fields, which the other side reads as well as aliases: computed fields are left out, fields
    that its dump would exclude are not. A serializer of the user's is used.

    Args:
        only_set: leave out fields that nobody has set and that will have the same value there: it will be read as an
            object of its class, which knows then which were set.

    Raises:
        Unsendable: it would arrive as another one.
    """
    found = model_of(_class(value))
    extra = getattr(value, "__pydantic_extra__", None)

    def dumped() -> Any:
        return dump_model(value, found.adapter)

    if not found.tried and (not extra or found.looked_for.isdisjoint(extra)):
        if only_set and not found.may_lack:
            return _deep(value), dumped  # what is in it isn't left to chance either
        return _own(value, _Form(only_set=only_set)), dumped
    if found.custom:
        return _tried(value, found, [dumped]), None
    forms = [partial(_deep, value, form) for form in ((*_ONLY_SET, *_WHOLE) if only_set else _WHOLE)]
    return _tried(value, found, [*forms, dumped]), lambda: _tried(value, found, [dumped])


def _class(value: Any) -> Any:
    return type(value)  # pyright: ignore[reportUnknownVariableType]


def _is_model(value: Any) -> bool:
    return hasattr(_class(value), "__pydantic_fields__")


def _held(value: Any) -> dict[str, Any]:
    """The fields of a model, not the extra ones."""
    slots: Any = getattr(value, "__dict__", None)
    names: dict[str, Any] = _class(value).__pydantic_fields__
    if slots is None:
        return {name: getattr(value, name) for name in names if hasattr(value, name)}
    return {name: slots[name] for name in names if name in slots}


def _extra(value: Any) -> dict[str, Any]:
    return getattr(value, "__pydantic_extra__", None) or {}


def _own(value: Any, form: _Form) -> Any:
    """What it is made from."""
    kind = _class(value)
    if getattr(kind, "__pydantic_root_model__", False):
        return value.root
    held = _held(value)
    for name, field in kind.__pydantic_fields__.items():
        if field.init is False:
            held.pop(name, None)  # nobody can give it
    if form.only_set and hasattr(value, "__pydantic_fields_set__"):
        held = _set_of(value, held)
    if form.by_alias:
        aliases = model_of(kind).aliases
        held = {aliases.get(name, name): item for name, item in held.items()}
    return held | _extra(value)


def _set_of(value: Any, held: dict[str, Any]) -> dict[str, Any]:
    """Those fields that were set, or will not have the same value there."""
    fields: dict[str, Any] = _class(value).__pydantic_fields__
    given: set[str] = value.__pydantic_fields_set__
    return {name: item for name, item in held.items() if name in given or not _is_default(item, fields[name])}


def _is_default(item: Any, field: Any) -> bool:
    factory: Any = field.default_factory
    if factory is not None and factory not in MAKERS:
        return False  # a clock, say: it may make another one there
    default = field.default if factory is None else cast("Any", factory)()
    try:
        return item is default or (type(item) is type(default) and bool(item == default))
    except Exception:
        return False


def _tried(value: Any, found: Model, forms: list[Callable[[], Any]]) -> Any:
    """The first form that is read as the same object: plain ones first, whole, as they will be read."""
    reasons: list[str] = []
    for form in forms:
        try:
            plain = form()
        except Unsendable:
            raise
        except Exception as error:
            reasons.append(f"it can't be written ({type(error).__name__})")
            continue
        try:
            # A copy: validators may change what they are given.
            changed = _difference(value, _read(found.adapter, _deep(plain)), found.told_apart)
        except Exception as error:
            reasons.append(f"what is sent of it is not read again ({type(error).__name__})")
            continue
        if changed is None:
            return plain
        reasons.append("it would arrive as another one" + (f", with another {changed!r}" if changed else ""))
    raise Unsendable(type_name(_class(value)), f"{reasons[0]}: {_cause(found)}")


def _cause(found: Model) -> str:
    if found.custom:
        return f"its serializer would change it: {_AS_IT_IS}"
    if found.reruns:
        return f"its validators or what runs after them, which run again in the worker, would change it: {_AS_IT_IS}"
    return (
        "an alias of a field is the name of another field, a field can't be given or is excluded from its dump, or a "
        "union of models can't be told apart. Send its fields, or rename the alias"
    )


def _read(adapter: Any, plain: Any) -> Any:
    """As the worker will; see `conversion`."""
    try:
        return adapter.validate_python(plain, by_alias=True, by_name=True)
    except ValueError:  # strict: text is no date
        return adapter.validate_json(msgspec.json.encode(plain, enc_hook=to_plain), by_alias=True, by_name=True)


def _deep(value: Any, form: _Form = _WHOLE[0]) -> Any:
    """A model, and all models, dataclasses and containers in it, as new plain ones."""
    kind = _class(value)
    if _is_model(value):
        form = form if model_of(kind).may_lack else form._replace(only_set=False)
        return _deep(_own(value, form), form)
    if kind is dict:
        return {key: _deep(item, form) for key, item in value.items()}
    if kind in (list, tuple, set, frozenset):
        return cast("Any", kind)(_deep(item, form) for item in value)
    if dataclasses.is_dataclass(kind):
        return {name: _deep(item, form) for name, item in _fields(value).items()}
    return value


def _fields(value: Any) -> dict[str, Any]:
    return {one.name: getattr(value, one.name) for one in dataclasses.fields(value) if hasattr(value, one.name)}


def _difference(sent: Any, got: Any, exactly: bool) -> str | None:
    """Where the two differ: the path of a field, or "" for the whole; None if nowhere.

    Args:
        exactly: models of the same class, where a subclass would do else: it arrives as what is annotated.
    """
    if sent is got:
        return None
    if _is_model(sent):
        if not _is_kin(sent, got, exactly):
            return ""
        theirs = _held(got)
        mine = {name: item for name, item in _held(sent).items() if name in theirs or type(sent) is type(got)}
        return _first_difference((mine, theirs), exactly) or _first_difference((_extra(sent), _extra(got)), exactly)
    kind = _class(sent)
    if kind is type(got):
        if dataclasses.is_dataclass(kind):
            return _first_difference((_fields(sent), _fields(got)), exactly)
        if issubclass(kind, dict):
            return _first_difference((sent, got), exactly)
        if issubclass(kind, (list, tuple)):
            return _first_difference((_by_position(sent), _by_position(got)), exactly)
    elif not isinstance(sent, type(got)) and not isinstance(got, kind):
        return ""
    try:
        return None if sent == got or (sent != sent and got != got) else ""  # NaN
    except Exception:
        return None  # an array, say: not ours to judge


def _first_difference(both: Iterable[dict[Any, Any]], exactly: bool) -> str | None:
    sent, got = both
    for name in (*sent, *(one for one in got if one not in sent)):
        if name not in sent or name not in got:
            return str(name)
        found = _difference(sent[name], got[name], exactly)
        if found is not None:
            return f"{name}.{found}" if found else str(name)
    return None


def _by_position(items: Iterable[Any]) -> dict[Any, Any]:
    return dict(enumerate(items))


def _is_kin(sent: Any, got: Any, exactly: bool) -> bool:
    mine, theirs = _origin(sent), _origin(got)
    return mine is theirs or (not exactly and issubclass(mine, theirs))


def _origin(value: Any) -> Any:
    """Its class; of a generic one that which was parametrized."""
    known: dict[str, Any] = getattr(_class(value), "__pydantic_generic_metadata__", None) or {}
    return known.get("origin") or _class(value)
