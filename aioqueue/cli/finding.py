"""From `shop.tasks:app` to the app."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from aioqueue.exceptions import AioQueueError, suggest

if TYPE_CHECKING:
    from aioqueue.app import AioQueue

_R = TypeVar("_R")
_USUAL_NAMES = ("app", "aioqueue", "celery")
_USUAL_MODULES = ("app", "tasks", "aioqueue", "celery")


class AppNotFound(click.UsageError):
    """There is no app where the command line says."""


class AppBroken(click.ClickException):
    """The module of the app raises an error when it is imported."""


def find_app(place: str) -> AioQueue:
    """The app at `module:attribute`, or the one that a module holds; its `include` is imported as well.

    The current directory is searched first, as for `python -m`.

    Raises:
        AppNotFound: with what is there instead.
        AppBroken: with the traceback of the module's own code.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    module_name, _, attribute = place.partition(":")
    if not module_name or not all(part.isidentifier() for part in module_name.split(".")):
        raise AppNotFound(_malformed(place, module_name, attribute))
    found = _attribute(_module(module_name, place), attribute) if attribute else _search(module_name, place)
    _guarded(found.import_tasks, f"the modules that {place} includes")
    return found


def looks_like_app(word: str) -> bool:
    """Whether a word on the command line is `module:attribute`."""
    module, colon, attribute = word.partition(":")
    return bool(colon) and all(part.isidentifier() for part in f"{module}.{attribute}".split("."))


def is_here(word: str) -> bool:
    """Whether a word on the command line names a module or a package in the current directory."""
    path = Path(*word.split("."))
    return bool(word) and (path.is_dir() or path.with_suffix(".py").is_file())


def _malformed(place: str, module: str, attribute: str) -> str:
    path = module.removesuffix(".py").strip("./").replace("/", ".")
    better = f"{path}:{attribute}" if attribute else path
    hint = f" Did you mean {better!r}?" if all(part.isidentifier() for part in path.split(".")) else ""
    return f"{place!r} does not name an app: write module:attribute, such as shop.tasks:app.{hint}"


def _module(name: str, place: str) -> ModuleType:
    found = _import(name)
    if found is None:
        raise AppNotFound(_no_module(name, place))
    return found


def _import(name: str) -> ModuleType | None:
    """The module, or None if it (or a package that it lies in) does not exist."""
    try:
        return _guarded(lambda: importlib.import_module(name), name)
    except ModuleNotFoundError:
        return None


def _guarded(act: Callable[[], _R], what: str) -> _R:
    """`act()`; errors of the user's code are shown as such, without the frames of this program and of importlib."""
    try:
        return act()
    except AioQueueError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (what == error.name or what.startswith(f"{error.name}.")):
            raise
        _broken(what, error)
    except Exception as error:
        _broken(what, error)


def _broken(what: str, error: Exception) -> NoReturn:
    frames = error.__traceback__
    while frames is not None and _is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames)).rstrip()
    raise AppBroken(f"{what} cannot be imported:\n{text}") from error


def _is_ours(file: str) -> bool:
    return "importlib" in file or Path(file).parent == Path(__file__).parent


def _no_module(name: str, place: str) -> str:
    package, _, last = name.rpartition(".")
    if last == "py":
        return f"{place!r} names a file; give the module, without the .py: {package}"
    parent = _import(package) if package else None
    if package and parent is None:
        return _no_module(package, place)
    paths: list[str] = list(getattr(parent, "__path__", [])) if parent is not None else [str(Path.cwd())]
    near = get_close_matches(last, [module.name for module in pkgutil.iter_modules(paths)], n=1)
    better = f"{package}.{near[0]}" if package and near else near[0] if near else ""
    hint = f" Did you mean {better!r}?" if better else ""
    return f"There is no module {name!r} (looked for in {Path.cwd()} and on Python's path).{hint}"


def _apps_in(module: ModuleType) -> dict[str, AioQueue]:
    from aioqueue.app import AioQueue

    return {name: value for name, value in vars(module).items() if isinstance(value, AioQueue)}


def _attribute(module: ModuleType, path: str) -> AioQueue:
    from aioqueue.app import AioQueue

    value: Any = module
    for name in path.split("."):
        value = getattr(value, name, None)
    if isinstance(value, AioQueue):
        return value
    apps = _apps_in(module)
    if value is not None:
        raise AppNotFound(
            f"{module.__name__}:{path} is a {type(value).__name__}, not an AioQueue.{_there(module, apps)}"
        )
    names = apps or [name for name in vars(module) if not name.startswith("_")]
    raise AppNotFound(f"{module.__name__} has no {path!r}.{suggest(path, names)}{_there(module, apps)}")


def _there(module: ModuleType, apps: dict[str, AioQueue]) -> str:
    if apps:
        return f" It holds: {', '.join(f'{module.__name__}:{name}' for name in apps)}."
    return f" There is no AioQueue in {module.__file__ or module.__name__}: make one, app = AioQueue('name')."


def _search(name: str, place: str) -> AioQueue:
    """The app of a module, of its attribute (`shop.tasks.app`), or of the usual submodules of a package."""
    module = _import(name)
    if module is None:
        package, _, last = name.rpartition(".")
        parent = _import(package) if package else None
        if parent is None or not hasattr(parent, last):
            raise AppNotFound(_no_module(name, place))
        return _attribute(parent, last)
    found = _only_app(module)
    if found is not None:
        return found
    if hasattr(module, "__path__"):
        for usual in _USUAL_MODULES:
            submodule = _import(f"{name}.{usual}")
            if submodule is not None and (found := _only_app(submodule)) is not None:
                return found
    raise AppNotFound(f"No app in {name!r}.{_there(module, {})}")


def _only_app(module: ModuleType) -> AioQueue | None:
    apps = _apps_in(module)
    for usual in _USUAL_NAMES:
        if usual in apps:
            return apps[usual]
    different = list({id(app): app for app in apps.values()}.values())
    if len(different) > 1:
        raise AppNotFound(f"{module.__name__!r} holds {len(different)} apps; say which one:{_there(module, apps)}")
    return different[0] if different else None
