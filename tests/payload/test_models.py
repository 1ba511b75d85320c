"""Objects with fields arrive as they were, or are refused by their sender."""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import InitVar, dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pydantic
import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Json,
    PrivateAttr,
    RootModel,
    SecretStr,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.alias_generators import to_camel

from aioqueue.exceptions import PayloadError
from aioqueue.payload import Parameters, decode, encode
from aioqueue.payload.codec import is_textual
from aioqueue.payload.conversion import conversion_for

MAX = 1 << 20
AT = dt.datetime(2026, 1, 1, 0, 30, tzinfo=ZoneInfo("Europe/Berlin"))
T = TypeVar("T")


class Crossed(BaseModel):
    name: str = Field(alias="title")
    title: str = Field(alias="heading")


class Validated(BaseModel):
    name: str = Field(validation_alias="title", serialization_alias="x")
    title: str = Field(validation_alias="heading", serialization_alias="name")


class Choices(BaseModel):
    name: str = Field(validation_alias=AliasChoices("title", "t"))
    title: str = "d"


class Pathed(BaseModel):
    name: str = Field(validation_alias=AliasPath("title", 0))
    title: list[str] = []


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
    first_name: str
    at: dt.datetime = AT


class Excluded(BaseModel):
    a: int
    b: int = Field(2, exclude=True)
    at: dt.datetime = AT


class Nested(BaseModel):
    one: Crossed
    many: list[Crossed]
    by: dict[str, Excluded]


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int

    @computed_field
    def b(self) -> int:
        return self.a


class Box(BaseModel, Generic[T]):
    v: T = Field(alias="w")
    w: int = Field(alias="v")


class Root(RootModel[list[Excluded]]):
    pass


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int = Field(alias="b")


class Uid(BaseModel):
    model_config = ConfigDict(extra="allow")
    id: str = Field(validation_alias=AliasChoices("_id", "uid"))


class Team(BaseModel):
    users: list[Uid]


class Tidy(BaseModel):
    """Its code may run as often as it likes."""

    model_config = ConfigDict(str_strip_whitespace=True, defer_build=True)
    names: list[str]
    low: Annotated[str, AfterValidator(str.lower)]
    secret: SecretStr | None = None
    address: IPv4Address | None = None
    parsed: Json[Any] = None
    _private: int = PrivateAttr(0)

    @field_validator("names", mode="before")
    @classmethod
    def split(cls, value: Any) -> Any:
        return value.split(",") if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def old_name(cls, data: Any) -> Any:
        if "called" in data:
            data["names"] = data.pop("called")
        data.pop("address", None) if data.get("address") == "none" else None
        return data

    def model_post_init(self, context: Any) -> None:
        self._private += 1


class Animal(BaseModel):
    name: Annotated[str, AfterValidator(str.strip)]


class Owner(BaseModel):
    pet: Animal


@pydantic.dataclasses.dataclass(slots=True)
class Computing:
    a: int
    b: int = dataclasses.field(init=False, default=3)

    def __post_init__(self) -> None:
        self.b = self.a * 2


class Shown(BaseModel):
    at: dt.datetime

    @field_serializer("at")
    def text(self, value: dt.datetime) -> str:
        return value.isoformat()


class Rich(BaseModel):
    at: dt.datetime
    pair: tuple[Any, ...]
    names: set[str]
    raw: bytes
    anything: Any


@pydantic.dataclasses.dataclass
class CrossedData:
    name: str = Field(alias="title")
    title: str = Field(alias="heading")
    hidden: int = Field(3, exclude=True)


@dataclass
class Later:
    a: int
    b: int = field(init=False, default=3)
    _private: int = 5


@dataclass
class Derived:
    a: int
    total: int = field(init=False)

    def __post_init__(self) -> None:
        self.total = self.a * 2


@dataclass(frozen=True, slots=True)
class Slotted:
    at: dt.datetime
    pair: tuple[Any, ...] = ()
    anything: object = None


@attrs.define
class Attrs:
    _hidden: int
    y: int = attrs.field(init=False, default=4)
    z: int = attrs.field(alias="zed", default=1)


class Renamed(msgspec.Struct, rename={"a": "b", "b": "c"}, omit_defaults=True, tag="x"):
    a: int
    b: int = 3
    at: dt.datetime = AT


class Partial(msgspec.Struct):
    a: int | msgspec.UnsetType = 3
    b: int | msgspec.UnsetType = msgspec.UNSET


class Listed(msgspec.Struct, array_like=True, tag=True):
    a: int
    at: dt.datetime


def changed(value: Any, **fields: Any) -> Any:
    for name, item in fields.items():
        setattr(value, name, item)
    return value


ARRIVE: list[tuple[Any, Any]] = [
    (type(value), value)
    for value in (
        Crossed(title="a", heading="b"),
        Validated(title="a", heading="b"),
        Choices(title="a"),  # type: ignore[call-arg]
        Pathed(title=["a"]),  # type: ignore[call-arg]
        Camel(firstName="x"),  # type: ignore[call-arg]
        Excluded(a=1, b=7),
        Nested(
            one=Crossed(title="a", heading="b"),
            many=[Crossed(title="c", heading="d")],
            by={"k": Excluded(a=1, b=9)},
        ),
        Computed(a=1),
        Box[str](w="a", v=1),
        Root([Excluded(a=1, b=5)]),
        Extra(b=1, other=AT),  # type: ignore[call-arg]
        Extra(b=1, a=2),  # type: ignore[call-arg]
        Uid(_id="1", id="2"),  # type: ignore[call-arg]
        Uid(_id="1", uid="2"),  # type: ignore[call-arg]
        Uid(uid="1", id="2"),  # type: ignore[call-arg]
        Team(users=[Uid(_id="1", id="2"), Uid(_id="3")]),  # type: ignore[call-arg]
        Tidy(names="a,b", low="LOW"),  # type: ignore[arg-type]
        Tidy(called=["a"], low="", address="10.0.0.1", parsed="[1]"),  # type: ignore[call-arg, arg-type]
        Owner(pet=Animal(name=" cat ")),
        Computing(2),
        Shown(at=AT.astimezone(dt.UTC)),
        Rich(at=AT, pair=(1, (2,)), names={"a"}, raw=b"\xff", anything=(AT, {1: 2})),
        CrossedData(title="a", heading="b", hidden=5),  # type: ignore[call-arg]
        changed(Later(1), b=9),
        Derived(2),
        Slotted(AT, (1, AT), {1, 2}),
        changed(Attrs(1), y=8),
        Renamed(1),
        Partial(1),
        Partial(1, 2),
        Renamed(1, 5),
        Listed(1, AT),
    )
]
ARRIVE.append((list[Crossed], [Crossed(title="a", heading="b")]))


def arrived(annotation: Any, value: Any, serializer: str) -> Any:
    data, content = encode(value, serializer=serializer, max_size=MAX)
    plain = decode(data, content, max_size=MAX)
    convert = conversion_for(annotation)[is_textual(content)]
    return plain if convert is None else convert(plain)


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
@pytest.mark.parametrize(("annotation", "value"), ARRIVE, ids=lambda v: getattr(v, "__name__", type(v).__name__))
def test_they_arrive(annotation: Any, value: Any, serializer: str) -> None:
    got = arrived(annotation, value, serializer)
    assert got == value and type(got) is type(value)
    at = getattr(value, "at", None)
    assert at is None or (got.at.tzinfo, got.at.utcoffset()) == (at.tzinfo, at.utcoffset())


class Lossy(BaseModel):
    a: int

    @field_serializer("a")
    def twice(self, value: int) -> int:
        return value * 2


class Rounded(BaseModel):
    a: float

    @field_serializer("a")
    def rounded(self, value: float) -> float:
        return round(value, 1)


class Midnight(BaseModel):
    at: dt.datetime

    @field_serializer("at")
    def day(self, value: dt.datetime) -> str:
        return value.date().isoformat()


class Half(BaseModel):
    a: int
    b: int = 0

    @model_serializer
    def only_a(self) -> dict[str, int]:
        return {"a": self.a}


class Dumped(BaseModel):
    a: int
    b: int = 0

    def model_dump(self, **_: Any) -> dict[str, Any]:
        return {"a": self.a}


class Money(BaseModel):
    cents: int

    @field_validator("cents", mode="before")
    @classmethod
    def from_units(cls, value: Any) -> Any:
        return round(value * 100)


class Hashed(BaseModel):
    password: str

    @field_validator("password")
    @classmethod
    def hashed(cls, value: str) -> str:
        return f"hash({value})"


class Taxed(BaseModel):
    price: Annotated[float, AfterValidator(lambda value: value * 1.19)]


class Order(BaseModel):
    name: str
    by: dict[str, list[Money]]


class Doubled(BaseModel):
    a: int

    def model_post_init(self, context: Any) -> None:
        self.a *= 2


class DoubledAndPrivate(Doubled):
    _private: int = PrivateAttr(0)

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)


class Added(BaseModel):
    a: int

    @model_validator(mode="after")
    def add(self) -> Any:
        self.a += 1
        return self


class FromRaw(BaseModel):
    a: int

    @model_validator(mode="before")
    @classmethod
    def raw(cls, data: Any) -> Any:
        return {"a": data.get("raw", 0)}


class OnlyRaw(BaseModel):
    a: int

    @model_validator(mode="before")
    @classmethod
    def raw(cls, data: Any) -> Any:
        return {"a": data["raw"]}


class ByInit(BaseModel):
    a: int

    def __init__(self, **data: Any) -> None:
        super().__init__(a=data["a"] + 1)


class Upper(BaseModel):
    model_config = ConfigDict(str_to_upper=True)
    s: str


@pydantic.dataclasses.dataclass
class Finished:
    a: int

    def __post_init__(self) -> None:
        self.a += 1


@pydantic.dataclasses.dataclass
class Before:
    a: Annotated[int, BeforeValidator(lambda value: value + 1)]


@pydantic.dataclasses.dataclass
class Told:
    a: int
    extra: InitVar[int]


@dataclass
class Priced:
    """A plain one: in a model, pydantic validates it."""

    price: Annotated[float, AfterValidator(lambda value: value * 2)]


class Holder(BaseModel):
    item: Priced


class First(BaseModel):
    x: int


class Second(BaseModel):
    x: int


class Either(BaseModel):
    value: First | Second


@dataclass
class WithInitVar:
    a: int
    extra: InitVar[int] = 0


class Counting(msgspec.Struct):
    a: int

    def __post_init__(self) -> None:
        self.a += 1


REFUSED = [
    (Lossy(a=1), "another 'a': its serializer would change it"),
    (Rounded(a=1.234), "another 'a': its serializer would change it"),
    (Midnight(at=AT), "another 'at': its serializer would change it"),
    (Half(a=1, b=2), "another 'b': its serializer would change it"),
    (Dumped(a=1, b=2), "another 'b': its serializer would change it"),
    (Money(cents=1.5), "another 'cents': its validators"),  # type: ignore[arg-type]
    (Hashed(password="x"), "another 'password': its validators"),
    (Taxed(price=1), "another 'price': its validators"),
    (Order(name="x", by={"k": [Money(cents=1)]}), "another 'by.k.0.cents': its validators"),
    (Doubled(a=1), "another 'a': its validators or what runs after them"),
    (DoubledAndPrivate(a=1), "another 'a': its validators or what runs after them"),
    (Added(a=1), "another 'a': its validators"),
    (FromRaw(raw=1), "another 'a': its validators"),  # type: ignore[call-arg]
    (OnlyRaw(raw=1), r"not read again \(KeyError\)"),  # type: ignore[call-arg]
    (ByInit(a=1), "another 'a': its validators"),
    (Upper.model_construct(s="low"), "another 's': its validators"),
    (Finished(1), "another 'a': its validators or what runs after them"),
    (Before(1), "another 'a': its validators"),
    (Told(1, 2), "not read again"),
    (Holder(item=Priced(1)), "another 'item.price': its validators"),
    (Either(value=Second(x=1)), "it would arrive as another one"),
    (WithInitVar(1), "its InitVar 'extra' isn't kept"),
    (changed(Derived(2), total=7), "its __post_init__ would change 'total'"),
    (Partial(msgspec.UNSET), "its field 'a' is UNSET, and would have its default"),
    (Counting(1), "its __post_init__ would change 'a'"),
]


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
@pytest.mark.parametrize(("value", "reason"), REFUSED, ids=lambda v: type(v).__name__)
def test_what_would_arrive_as_another_is_refused(value: Any, reason: str, serializer: str) -> None:
    with pytest.raises(PayloadError, match=reason):
        encode(value, serializer=serializer, max_size=MAX)


def test_a_value_with_code_of_its_own_is_looked_at_each_time() -> None:
    for given, fits in ((Rounded(a=1.5), True), (Rounded(a=1.25), False), (Half(a=1), True), (Half(a=1, b=1), False)):
        if fits:
            assert arrived(type(given), given, "msgpack") == given
        else:
            with pytest.raises(PayloadError):
                encode(given, max_size=MAX)


def test_what_is_sent_is_left_alone() -> None:
    """Validators that change what they are given, as `data.pop(...)`, do so in a copy."""
    sent = Popping(a=1, items=[1, 2])
    got = arrived(Popping, sent, "msgpack")
    assert got.items == sent.items == [1, 2] and got.a == 1


class Popping(BaseModel):
    a: int
    items: list[int]

    @model_validator(mode="before")
    @classmethod
    def taken(cls, data: Any) -> Any:
        items = data["items"]
        taken = list(items)
        items.clear()
        return {"a": data.pop("a"), "items": taken}


def test_a_secret_is_told_as_such_beside_validators_too() -> None:
    with pytest.raises(PayloadError, match="it holds a SecretStr"):
        encode(Tidy(names=[], low="", secret="x"), max_size=MAX)  # type: ignore[arg-type]


class Patch(BaseModel):
    name: str | None = None
    age: int | None = None
    tags: list[str] = Field(default_factory=list)


class CheckedPatch(Patch):
    title: str = Field("t", alias="name")
    name: str | None = Field(None, alias="called")

    @field_validator("age")
    @classmethod
    def age_is_one(cls, value: int | None) -> int | None:
        return None if value == 0 else value


class Patches(BaseModel):
    one: Patch = Patch(age=1)
    many: list[Patch] = []


class Stamped(BaseModel):
    id: UUID = Field(default_factory=uuid4)
    age: int = 3


class Card(BaseModel):
    kind: Literal["card"] = "card"
    number: int = 0


class Cash(BaseModel):
    kind: Literal["cash"] = "cash"
    number: int = 0


class Paid(BaseModel):
    by: Annotated[Card | Cash, Field(discriminator="kind")]
    rest: list[Annotated[Card | Cash, Field(discriminator="kind")]] = []
    patch: Patch = Patch()


def passed(annotation: Any, value: Any, serializer: str) -> Any:
    """As the argument of a task that is annotated so."""

    def work(x: Any, *more: Any, **named: Any) -> None: ...

    work.__annotations__.update(dict.fromkeys(("x", "more", "named"), annotation))
    parameters = Parameters(work)
    sent = parameters.encode((value, value), {"y": value}, serializer=serializer, max_size=MAX)
    args, kwargs = parameters.decode(*sent, max_size=MAX)
    assert args == (value, value) and kwargs == {"y": value}
    later = parameters.encode((value,), {}, serializer=serializer, max_size=MAX, start=1)
    assert parameters.decode(*later, max_size=MAX)[0] == (value,)
    return args[1]


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
def test_which_fields_were_set_is_kept(serializer: str) -> None:
    changed_default = Patch(name="n")
    changed_default.tags.append("a")
    assert passed(Patch, changed_default, serializer).tags == ["a"]
    for annotation, value in (
        (Patch, Patch(name="n")),
        (Patch, Patch(name=None, tags=[])),
        (Patch | None, Patch()),
        (list[Patch], [Patch(age=1), Patch()]),
        (dict[str, Patch], {"a": Patch(age=None)}),
        (Patches, Patches(many=[Patch(age=1), Patch(name=None)])),
        (CheckedPatch, CheckedPatch(age=0)),
        (CheckedPatch, CheckedPatch(name="x")),
    ):
        got = passed(annotation, value, serializer)
        for one, other in zip(models_in(got), models_in(value), strict=True):
            assert one.model_dump(exclude_unset=True) == other.model_dump(exclude_unset=True)
            assert one.model_fields_set == other.model_fields_set


def models_in(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
def test_what_code_or_a_union_makes_of_fields_that_were_not_set_is_left_to_none(serializer: str) -> None:
    for annotation, value in (
        (Stamped, Stamped()),
        (Card | Cash, Cash()),
        (Annotated[Card | Cash, Field(discriminator="kind")], Cash()),
        (list[Patch | Cash], [Cash(), Patch()]),
        (Paid, Paid(by=Cash(), rest=[Cash(), Card()])),
    ):
        assert passed(annotation, value, serializer) == value


def test_without_an_annotation_fields_that_were_not_set_are_there() -> None:
    def work(x: Any) -> None: ...

    for parameters in (Parameters(work), Parameters(lambda x: None)):
        sent = parameters.encode((Patch(name="n"),), {}, max_size=MAX)
        assert parameters.decode(*sent, max_size=MAX)[0] == ({"name": "n", "age": None, "tags": []},)


def test_dicts_by_alias_are_still_read() -> None:
    assert arrived(Crossed, {"title": "a", "heading": "b"}, "msgpack") == Crossed(title="a", heading="b")
    assert arrived(Camel, {"firstName": "x"}, "json") == Camel(firstName="x")  # type: ignore[call-arg]


def test_without_an_annotation_they_are_dicts_of_what_they_held() -> None:
    assert arrived(Any, Slotted(AT, (1,)), "json") == dataclasses.asdict(Slotted(AT, (1,)))
    assert arrived(Any, Rich(at=AT, pair=(1,), names=set(), raw=b"", anything=1), "json")["at"].tzinfo == AT.tzinfo


def test_a_text_under_a_union_stays_a_text() -> None:
    for serializer in ("msgpack", "json"):
        assert arrived(Path | str, "x", serializer) == "x"
        assert arrived(dt.datetime | str, "2026-01-01", serializer) == "2026-01-01"
        assert arrived(list[str], [Path("a")], serializer) == ["a"]
