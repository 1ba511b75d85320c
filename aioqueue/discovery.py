"""Finding modules of tasks by their names, as Celery's `autodiscover_tasks` does."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from typing import Any

from aioqueue.exceptions import ConfigurationError

Packages = Iterable[str] | Callable[[], Iterable[str]]


def modules_in(packages: Packages | None, related_name: str | None) -> list[str]:
    """The modules of that name which there are in the packages.

    Args:
        packages: names of packages, or what gives them; None: Django's installed apps.
        related_name: the module in each; None: the packages themselves.

    Raises:
        ConfigurationError: there is no such package, or Django is not set up.
    """
    names = installed_apps() if packages is None else packages() if callable(packages) else packages
    found = [_module_of(name, related_name) for name in names]
    return [module for module in found if module is not None]


def installed_apps() -> list[str]:
    """The packages of Django's installed apps; Django is set up by this, if it is not.

    Raises:
        ConfigurationError: there is no Django, or it has no settings.
    """
    try:
        apps: Any = importlib.import_module("django.apps").apps
        settings: Any = importlib.import_module("django.conf").settings
    except ImportError as error:
        raise ConfigurationError(
            f"autodiscover_tasks() without packages looks into Django's installed apps, but: {error}. Name the "
            'packages: app.autodiscover_tasks(["shop", "mail"]).'
        ) from None
    if not settings.configured and not os.environ.get("DJANGO_SETTINGS_MODULE"):
        raise ConfigurationError(
            "autodiscover_tasks() without packages looks into Django's installed apps, and Django has no settings: set "
            "DJANGO_SETTINGS_MODULE, or name the packages."
        )
    if not apps.ready:
        django: Any = importlib.import_module("django")
        django.setup()
    return [config.name for config in apps.get_app_configs()]


def _module_of(package: str, related_name: str | None) -> str | None:
    """The module's name, if there is one. An app may be named by its configuration, as `shop.apps.ShopConfig`."""
    name = package
    while (spec := _spec(name)) is None or spec.submodule_search_locations is None:
        if spec is not None and related_name is None:
            return name
        name = name.rpartition(".")[0]
        if not name:
            raise ConfigurationError(f"autodiscover_tasks: there is no package {package!r}.")
    if related_name is None:
        return name
    module = f"{name}.{related_name}"
    return module if _spec(module) is not None else None


def _spec(module: str) -> ModuleSpec | None:
    try:
        return find_spec(module)
    except ModuleNotFoundError:  # what it should be in is not there, or no package
        return None
