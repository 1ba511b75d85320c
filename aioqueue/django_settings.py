"""Django's settings, which tests change for a while: `override_settings`, and pytest-django's `settings`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from aioqueue.configuring import named_in
from aioqueue.settings import Settings

_NONE = object()


class Configured(Protocol):
    """An app, as its settings are changed."""

    conf: Settings

    def annotate(self) -> None:
        """Give the tasks what `task_annotations` says of them."""
        ...


def is_djangos(source: object) -> bool:
    """Whether that is `django.conf.settings`. Asks what is imported, and imports nothing."""
    module = sys.modules.get("django.conf")
    return module is not None and source is getattr(module, "settings", _NONE)


class Follower:
    """Lets an app's settings follow Django's while a test overrides them, and puts them back afterwards.

    Django tells of it by `setting_changed`, to which this listens for as long as it is kept.

    Args:
        app: whose settings.
        source: `django.conf.settings`.
        namespace: as for `config_from_object`.
        place: where they are from, for what is said of them.
    """

    def __init__(self, app: Callable[[], Configured | None], source: Any, namespace: str | None, place: str) -> None:
        self._app = app
        self._source = source
        self._namespace = namespace
        self._place = place
        self._usual = named_in(source, namespace)
        self._before: dict[str, Any] = {}
        import_module("django.core.signals").setting_changed.connect(self._changed)

    def _changed(self, *, setting: str, **_: Any) -> None:
        """One setting is another one now, or is again what it was. All are looked at, for overrides may be nested."""
        app = self._app()
        if app is None or (self._namespace and not setting.upper().startswith(self._namespace.upper())):
            return
        conf = app.conf
        others = {
            name: value
            for name, value in named_in(self._source, self._namespace).items()
            if self._usual.get(name, _NONE) != value
        }
        usual = {**_all_of(conf), **self._before}
        conf.put_back(usual)
        self._before = {}
        if others:
            conf.read_from(others, self._place, beside_others=self._namespace is not None)
        self._before = {name: usual[name] for name, value in _all_of(conf).items() if value is not usual[name]}
        app.annotate()


def _all_of(conf: Settings) -> dict[str, Any]:
    return {name: getattr(conf, name) for name in conf}
