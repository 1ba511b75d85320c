"""Settings as they stand in a module, an object or a dict."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module
from types import ModuleType
from typing import Any, cast

from aioqueue.celery.names import canonical, in_namespace
from aioqueue.exceptions import ConfigurationError
from aioqueue.settings import Settings

_FUNCTIONS = ("task_routes", "task_annotations")  # the settings that may be a function or an object
_PLAIN = (type(None), bool, int, float, str, bytes, list, tuple, dict, set, timedelta)
_NOTHING = object()
_OURS = Settings.__struct_fields__


def settings_object(place: str) -> Any:
    """The module of a name, or what stands in one: `shop.settings`, `django.conf:settings`, `shop.settings.Production`.

    Raises:
        ConfigurationError: it is not there, or cannot be imported.
    """
    module, _, attribute = place.partition(":")
    try:
        found: Any
        try:
            found = import_module(module)
        except ModuleNotFoundError as error:
            package, _, last = module.rpartition(".")
            if attribute or not package or error.name != module:
                raise
            found = getattr(import_module(package), last, None)
            if found is None:
                raise
        for name in attribute.split(".") if attribute else ():
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"The settings module {place!r} cannot be imported: {error}.") from error
    return found


def named_in(source: Any, namespace: str | None = None) -> dict[str, Any]:
    """What a module, an object or a mapping says of settings, by name.

    What is plainly none (modules, classes, functions, objects of which no setting has the name) is left out, and so is
    what begins with "_".

    Args:
        namespace: only names that begin with it and "_" count; they are given without it.

    Raises:
        ConfigurationError: it cannot be read.
    """
    if namespace is None:
        return {name: value for name, value in _values(source, "").items() if _may_be_one(name, value)}
    prefix = namespace.rstrip("_") + "_"
    values = {name[len(prefix) :]: value for name, value in _values(source, prefix).items()}
    settings = {name: in_namespace(name, _OURS) or name for name in values}
    # Of two spellings of one the younger, which is its own name, counts.
    by_age = sorted(settings.items(), key=lambda pair: pair[0].lower() == pair[1])
    return {setting: values[name] for name, setting in by_age}


def _values(source: Any, prefix: str) -> dict[str, Any]:
    """What stands there under names that begin with a prefix, in capitals or not."""
    try:
        names = list(cast("Mapping[str, Any]", source)) if isinstance(source, Mapping) else dir(source)
        wanted = [name for name in names if name.startswith((prefix, prefix.lower())) and not name.startswith("_")]
        if isinstance(source, Mapping):
            return {name: source[name] for name in wanted}
        found = {name: getattr(source, name, _NOTHING) for name in wanted}  # Django's lists names that are not there
        return {name: value for name, value in found.items() if value is not _NOTHING}
    except Exception as error:  # as Django's, when nothing says where its settings are
        raise ConfigurationError(f"The settings of {source!r} cannot be read: {error}") from error


def _may_be_one(name: str, value: Any) -> bool:
    if isinstance(value, _PLAIN):
        return True
    setting = canonical(name, _OURS)
    if setting is None or isinstance(value, ModuleType):
        return False
    return setting in _FUNCTIONS or not (callable(value) or type(value).__module__ == "__future__")
