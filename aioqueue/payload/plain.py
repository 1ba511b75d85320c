"""Objects that msgspec has no form for, as plain data."""

from __future__ import annotations

import sys
from pathlib import PurePath
from typing import Any, Final

import msgspec

from aioqueue.exceptions import PayloadError

ADVICE: Final = (
    "send plain data (numbers, text, bytes, dates, lists, dicts, dataclasses, msgspec Structs, pydantic models); "
    "for a big object, a file or a connection send its key or its path"
)
_MASK: Final = b"**********"  # what pydantic writes for a SecretStr

MAKERS: Final = frozenset({bool, int, float, str, bytes, list, dict, tuple, set, frozenset})
"""What makes a default that is the same everywhere: of a field of a model, or in a defaultdict that is sent."""


class Known:
    """An argument whose parameter's annotation says which models are in it; see `lower_model`."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Unsendable(PayloadError):
    """No plain form is known for a value.

    Attributes:
        kind: the type of the value, as `module.Name`.
        advice: what to do about it.
    """

    def __init__(self, kind: str, advice: str = ADVICE) -> None:
        super().__init__(f"a {kind} can't be sent: {advice}")
        self.kind = kind
        self.advice = advice


def type_name(cls: Any) -> str:
    """The name of a type as a person would write it."""
    module = getattr(cls, "__module__", "builtins")
    name = getattr(cls, "__qualname__", None) or repr(cls)
    return name if module == "builtins" else f"{module}.{name}"


def to_plain(value: Any) -> Any:
    """msgspec's `enc_hook`: called for each value that it can't encode itself.

    Raises:
        Unsendable: there is no plain form.
    """
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, bytes):
        return bytes(memoryview(value))
    if isinstance(value, (PurePath, complex)):
        return str(value)
    # Whoever holds a model has imported pydantic already.
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(value, pydantic.BaseModel):
        return dump_model(value, value)
    raise Unsendable(type_name(type(value)))


def dump_model(model: Any, adapter: Any) -> Any:
    """A pydantic model or dataclass as JSON would have it.

    Args:
        model: it.
        adapter: its `TypeAdapter`, or the model itself.

    Raises:
        Unsendable: it holds a secret.
    """

    # By field name, because the other side accepts names as well as aliases; `round_trip` leaves out computed fields,
    # which a model that forbids extra fields would refuse.
    def dump(**how: Any) -> Any:
        return model.model_dump(**how) if hasattr(model, "model_dump") else adapter.dump_python(model, **how)

    plain = dump(mode="json", round_trip=True, by_alias=False)
    if _MASK in msgspec.json.encode(plain) and _holds_secret(dump(round_trip=True)):
        advice = (
            "it holds a SecretStr, which pydantic would send as asterisks: "
            "send the key under which the task finds the secret, or give the field a serializer"
        )
        raise Unsendable(type_name(type(model)), advice)
    return plain


def _holds_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_secret(item) for item in value.values())  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(_holds_secret(item) for item in value)  # pyright: ignore[reportUnknownVariableType]
    return hasattr(value, "get_secret_value")
