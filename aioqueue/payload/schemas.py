"""What pydantic's schema of a class says about how its objects travel."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

_MODELS: Final = ("model", "dataclass", "definition-ref")
_CHANGES_TEXT: Final = ("strip_whitespace", "to_lower", "to_upper")
_VALIDATORS: Final = ("validators", "field_validators", "root_validators", "model_validators")


class Model(NamedTuple):
    """What is known of a class.

    Attributes:
        custom: it, or something in it, has a serializer of the user's.
        aliases: of its fields that have one, the first text under which it is looked for.
        looked_for: all names under which a field of it is looked for.
        tried: whether its objects arrive as they are must be tried with each: in it, or in a model within, are crossing
            aliases, fields that its dump leaves out, unions of models, serializers, or what reruns.
        reruns: what may change a value when it is read: validators, code after them, settings that change text.
        told_apart: a union of models is in it.
        may_lack: nothing in it is told by the fields that it has, as the members of a union are.
        adapter: reads it.
    """

    custom: bool
    aliases: dict[str, str]
    looked_for: frozenset[str]
    tried: bool
    reruns: bool
    told_apart: bool
    may_lack: bool
    adapter: Any


@lru_cache(1024)
def model_of(cls: Any) -> Model:
    """What is known of a pydantic model or dataclass."""
    pydantic: Any = sys.modules["pydantic"]
    adapter = pydantic.TypeAdapter(cls)
    adapter.rebuild()  # if it was put off, with `defer_build`
    fields: dict[str, Any] = cls.__pydantic_fields__
    aliases = {name: field.validation_alias or field.alias for name, field in fields.items()}
    nodes = list(_nodes(adapter.core_schema, set()))
    unions, reruns = any(map(_is_union_of_models, nodes)), any(map(_changes, nodes))
    overrides = hasattr(cls, "model_dump") and cls.model_dump is not pydantic.BaseModel.model_dump
    custom = overrides or any(_is_users(node.get("serialization")) for node in nodes)
    return Model(
        custom=custom,
        aliases={name: text for name, alias in aliases.items() if (text := _text_of(alias)) is not None},
        looked_for=frozenset(fields).union(*map(_first_words, aliases.values())),
        tried=custom or unions or reruns or _crosses(aliases) or any(map(_leaves_out_or_crosses, nodes)),
        reruns=reruns,
        told_apart=unions,
        may_lack=not unions and all(node.get("type") != "tagged-union" for node in nodes),
        adapter=adapter,
    )


def _nodes(schema: Any, seen: set[int]) -> Iterator[dict[str, Any]]:
    """The parts of a core schema: dicts in dicts and lists."""
    if isinstance(schema, dict):
        found = cast("dict[str, Any]", schema)
        if id(found) in seen:
            return
        seen.add(id(found))
        yield found
        for name, inner in found.items():
            if name != "metadata":
                yield from _nodes(inner, seen)
    elif isinstance(schema, (list, tuple)):
        for inner in cast("list[Any]", schema):
            yield from _nodes(inner, seen)


def _leaves_out_or_crosses(node: dict[str, Any]) -> bool:
    left_out = node.get("serialization_exclude") or node.get("init") is False or node.get("init_only")
    return bool(left_out) or _has_crossing_fields(node)


def _changes(node: dict[str, Any]) -> bool:
    """Whether reading runs code of the user's, or makes another text of a text."""
    kind = node.get("type")
    if kind in ("model", "dataclass"):
        return _finishes(node) or _is_told_to_change(node.get("config"))
    if kind == "json" or (kind == "tagged-union" and callable(node.get("discriminator"))):
        return True
    if kind == "str":
        return any(node.get(name) for name in _CHANGES_TEXT)
    return isinstance(kind, str) and kind.startswith("function-") and _is_users(node)


def _finishes(node: dict[str, Any]) -> bool:
    cls = node.get("cls")
    decorators = getattr(cls, "__pydantic_decorators__", None)
    if node.get("custom_init") or any(getattr(decorators, name, None) for name in _VALIDATORS):
        return True
    post_init = node.get("post_init")
    if not isinstance(post_init, str):
        return bool(post_init)
    # pydantic's own, for private attributes.
    return getattr(getattr(cls, post_init, None), "__name__", None) != "init_private_attributes"


def _is_told_to_change(config: Any) -> bool:
    return isinstance(config, dict) and any(cast("dict[str, Any]", config).get(f"str_{name}") for name in _CHANGES_TEXT)


def _is_users(node: Any) -> bool:
    """Whether the function of a node, a serializer or a validator, is none of pydantic's."""
    function: Any = cast("dict[str, Any]", node).get("function") if isinstance(node, dict) else None
    if isinstance(function, dict):  # of a validator: with what it takes
        function = cast("dict[str, Any]", function).get("function")
    module = getattr(function, "__module__", None) or ""
    return function is not None and module.partition(".")[0] not in ("pydantic", "pydantic_core")


def _is_union_of_models(node: dict[str, Any]) -> bool:
    if node.get("type") != "union":
        return False
    choices: list[Any] = node["choices"]  # each a schema, or one with its label
    return sum(_kind(one) in _MODELS for one in choices) > 1


def _kind(schema: Any) -> Any:
    found = cast("dict[str, Any]", schema[0] if isinstance(schema, tuple) else schema)
    return found.get("type")


def _has_crossing_fields(node: dict[str, Any]) -> bool:
    fields = node.get("fields")
    if isinstance(fields, dict):
        named = cast("dict[str, Any]", fields)
        return _crosses({name: _alias_of(field) for name, field in named.items()})
    if isinstance(fields, list):
        listed = cast("list[Any]", fields)
        return _crosses({one["name"]: _alias_of(one) for one in listed if isinstance(one, dict) and "name" in one})
    return False


def _text_of(alias: Any) -> str | None:
    choices = getattr(alias, "choices", (alias,))
    return next((one for one in choices if isinstance(one, str)), None)


def _alias_of(field: Any) -> Any:
    return cast("dict[str, Any]", field).get("validation_alias") if isinstance(field, dict) else None


def _crosses(aliases: dict[str, Any]) -> bool:
    return any(text in aliases and text != name for name, alias in aliases.items() for text in _first_words(alias))


def _first_words(alias: Any) -> Iterator[str]:
    """The names under which an alias looks: a text, a path, several of either."""
    if isinstance(alias, str):
        yield alias
    elif hasattr(alias, "choices"):
        for one in alias.choices:
            yield from _first_words(one)
    elif hasattr(alias, "path"):
        yield from _first_words(alias.path[0])
    elif isinstance(alias, list) and alias:  # as the core schema has it: a path, or several
        several = cast("list[Any]", alias)
        for one in several if isinstance(several[0], list) else several[:1]:
            yield from _first_words(one)
