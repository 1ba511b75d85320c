"""The name under which another process finds a function or a class.

What a script defines lives in `__main__` while the script runs, and in a module named after its file for everybody
who imports it. Names that are sent are always the latter.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any, Final

# multiprocessing's spawned children know the parent's script by the second name.
_MAIN: Final = ("__main__", "__mp_main__")


def main_name() -> str:
    """The importable name of this process's script, or `__main__` where it has none (a prompt, `python -c`)."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and isinstance(spec.name, str):
        return spec.name  # python -m package.module
    file = getattr(main, "__file__", None)
    if isinstance(file, str) and (stem := PurePath(file).stem) and not stem.startswith("<"):
        return stem  # `<stdin>` is no file
    return "__main__"


def importable_module(name: str) -> str:
    """`name`, or what others call it if it is this process's script."""
    return main_name() if name in _MAIN else name


def import_folder(name: str) -> str:
    """The folder on Python's path that a loaded module was imported from; the current one, where it has no file."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if not isinstance(file, str):
        return str(Path.cwd())
    path = Path(file).resolve()
    above = importable_module(name).count(".") + (path.stem == "__init__")
    return str(path.parents[min(above, len(path.parents) - 1)])


def importable_name(obj: Any) -> str:
    """The name of a function, a class or an object of a class, as `module.qualname`.

    Functions inside functions are named without the `<locals>`: `shop.tasks.make.send`. A `functools.partial` has
    the name of its function.
    """
    while not hasattr(obj, "__qualname__") and hasattr(obj, "func"):
        obj = obj.func
    named: Any = obj if hasattr(obj, "__qualname__") else type(obj)  # pyright: ignore[reportUnknownVariableType]
    qualname: str = named.__qualname__.replace("<locals>.", "").replace("<lambda>", "lambda")
    return f"{importable_module(named.__module__ or 'builtins')}.{qualname}"


def loaded_modules(name: str) -> list[ModuleType]:
    """The modules that others may mean by `name`, as far as they are loaded here. Nothing is ever imported.

    There are two of them in a process whose script has the name of a package: `/usr/bin/shop` and `import shop`.
    """
    names = ["__main__"] if name == main_name() else []
    if name not in _MAIN:
        names.append(name)
    return [module for name in names if (module := sys.modules.get(name)) is not None]


def loaded_classes(name: str) -> Iterator[type]:
    """The classes that others may mean by `module:qualname`, as far as they are loaded here. No code runs."""
    module_name, _, qualname = name.partition(":")
    if not qualname or len(name) > 500:
        return
    for module in loaded_modules(module_name):
        # By way of the dicts: a module's __getattr__ imports, a lazy module loads, a class's descriptors run code.
        try:
            top: Any = object.__getattribute__(module, "__dict__")
            found: Any = top
            for part in qualname.split("."):
                # A module's dict first, then those of classes; type's own way to them raises for anything else.
                names: Any = found if found is top else type.__dict__["__dict__"].__get__(found)
                found = names[part]
            type.__dict__["__mro__"].__get__(found)
        except Exception:
            continue
        yield found
