"""Types that tasks in these tests take and return. At module level, where annotations given as text are found."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, NewType, TypedDict
from uuid import UUID

import attrs
import msgspec
from pydantic import BaseModel, ConfigDict, Field, SecretStr, computed_field


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 9


class Word(enum.StrEnum):
    A = "a"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: int
    y: int


class Size(TypedDict):
    width: int
    unit: str


class Box(msgspec.Struct):
    id: UUID
    tags: set[str] = set()


class Tree(msgspec.Struct):
    children: list[Tree] = []


class Cat(msgspec.Struct, frozen=True):
    lives: int


class Dog(msgspec.Struct, frozen=True):
    tricks: list[str]


@dataclass
class Event:
    at: datetime
    where: Path | None = None
    parts: list[Event] = field(default_factory=list)


@attrs.define
class Parcel:
    weight: float


class User(BaseModel):
    name: str
    born: datetime | None = None
    home: Path | None = None


class Aliased(BaseModel):
    model_config = ConfigDict(extra="forbid")
    sender: str = Field(alias="from")

    @computed_field
    def shout(self) -> str:
        return self.sender.upper()


class TwoNames(BaseModel):
    sender: str = Field(validation_alias="from", serialization_alias="von")


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    at: datetime
    ids: set[UUID]


class Login(BaseModel):
    password: SecretStr


class Card(BaseModel):
    kind: Literal["card"] = "card"
    number: str


class Cash(BaseModel):
    kind: Literal["cash"] = "cash"
    amount: int


Payment = Annotated[Card | Cash, Field(discriminator="kind")]
UserId = NewType("UserId", int)
Place = NewType("Place", Path)


class Shout(str):
    """A subclass of str, as Django's SafeString."""
