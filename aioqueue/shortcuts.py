"""Short cuts that forget nothing.

A short cut carries some fields of a struct and takes less for it. Whether that is all there is to carry is asked of the
fields that it leaves out: each has to have its default. They are those of the struct, so that one which is added later
is asked as well, and takes the long way until the short cut carries it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)


def nothing_beside(struct: type[S], *carried: str, **fixed: Any) -> Callable[[S], bool]:
    """A check whether all fields of a struct but for those which are carried are as usual: each has its default, or
    what is named here.

    It is asked for each message, so it is compiled: an expression that looks at one field after the other.

    Raises:
        TypeError: there is no such field, or one that is left out has no default.
    """
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    if unknown := {*carried, *fixed} - set(fields):
        raise TypeError(f"{struct.__name__} has no field {', '.join(sorted(unknown))}")
    usual = {name: fixed.get(name, _default(field)) for name, field in fields.items() if name not in carried}
    if missing := [name for name, value in usual.items() if value is msgspec.NODEFAULT]:
        raise TypeError(f"A short cut has to carry {', '.join(missing)} of {struct.__name__}: there is no default")
    looks = [f"one.{name} {_is(value, name)}" for name, value in usual.items()]
    return eval(f"lambda one: {' and '.join(looks) or True}", {"usual": usual})


def _default(field: msgspec.structs.FieldInfo) -> Any:
    factory: Any = field.default_factory
    return field.default if factory is msgspec.NODEFAULT else factory()


def _is(value: object, name: str) -> str:
    """How a field is compared: with a constant, where that can be written as one."""
    if value is None or isinstance(value, bool):
        return f"is {value!r}"
    return f"== {value!r}" if value == () or isinstance(value, int | str | bytes) else f"== usual[{name!r}]"
