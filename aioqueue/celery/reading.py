"""Celery's settings, whole: what they are here, and what is to be said of the others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from aioqueue.celery.broker import OF_THE_BROKER, BrokerUrl
from aioqueue.celery.meanings import KEPT_IN_THE_BROKER, MEANINGS, UNKNOWN_POOL, Meaning, pool_of
from aioqueue.celery.names import canonical
from aioqueue.exceptions import suggest
from aioqueue.logs import logger

_MODULES = ("imports", "include")
# Those that say the same as others do, and of which nothing is to be said then.
_ECHOES = {
    "result_serializer": "task_serializer",
    "result_accept_content": "accept_content",
    "task_default_routing_key": "task_default_queue",
    "task_default_exchange": "task_default_queue",
    "broker_read_url": "broker_url",
    "broker_write_url": "broker_url",
}


class Remark(NamedTuple):
    """What is said of a setting that has no effect.

    Attributes:
        name: as it was given.
        why: it has none, and what to write instead.
        missed: it is not done by other means.
    """

    name: str
    why: str
    missed: bool = False


@dataclass
class Read:
    """What was read.

    Attributes:
        values: settings of ours, by their names; not checked.
        names: the names under which they were given.
        modules: what is to be imported before a worker starts.
        remarks: of those that have no effect.
        unknown: names that are no setting's, neither of ours nor of Celery's.
    """

    values: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def set(self, setting: str, value: Any, name: str) -> None:
        """Note what a setting is, and who says so."""
        self.values[setting], self.names[setting] = value, name


def read(given: Mapping[str, Any], ours: Collection[str], broker: str | None) -> Read:
    """Settings of ours, from a mapping in which some may be Celery's, in any of their spellings.

    Args:
        given: by name. What is said twice counts as the younger spelling says it.
        ours: the names of our settings.
        broker: its URL as it is.

    Raises:
        ConfigurationError: a value of Celery's is of a wrong kind.
    """
    found = Read()
    names: dict[str, str] = {}  # by the setting that each is a spelling of
    for name in given:
        setting = canonical(name, ours)
        if setting is None:
            found.unknown.append(name)
        elif setting not in names or _youth(names[setting], setting) <= _youth(name, setting):
            names[setting] = name
    for setting in sorted(names, key=lambda setting: setting in ours):  # what is said under our own names counts
        name, value = names[setting], given[names[setting]]
        if setting == "worker_pool" and isinstance(value, str) and pool_of(value) is None:
            found.remarks.append(Remark(name, UNKNOWN_POOL))
        elif setting in ours:
            found.set(setting, value, name)
        elif setting in _MODULES:
            found.modules.extend([value] if isinstance(value, str) else cast("Iterable[str]", value or ()))
        elif setting == "result_backend":
            _result_backend(found, name, value)
        elif setting not in OF_THE_BROKER:
            _one(found, name, value, MEANINGS[setting])
    _broker(found, {setting: name for setting, name in names.items() if setting in OF_THE_BROKER}, given, broker)
    for echo, of in _ECHOES.items():
        if echo in names and of in names and given[names[echo]] == given[names[of]]:
            found.remarks = [remark for remark in found.remarks if remark.name != names[echo]]
    return found


def tell(found: Read, ours: Collection[str], source: str) -> None:
    """Say in one warning what has no effect.

    Args:
        found: what was read.
        ours: the names of our settings.
        source: where it is from.
    """
    lines = [f"{name}: {why}" for name, why, _ in sorted(found.remarks, key=lambda remark: not remark.missed)]
    lines += [f"{name}: no setting has that name.{suggestion(name, ours)}" for name in found.unknown]
    if lines:
        many = f"{len(lines)} settings have" if len(lines) > 1 else "A setting has"
        logger.warning("%s no effect (%s):\n  %s", many, source, "\n  ".join(lines))


def refusal(found: Read) -> str:
    """What is wrong with settings that ask for what is not done here; "" if none does."""
    return " ".join(f"{name} is no setting here: {why}." for name, why, missed in found.remarks if missed)


def value_under(name: str, ours: Collection[str], settings: Any) -> Any:
    """The value of one of our settings under a name of Celery's, in Celery's unit.

    Raises:
        AttributeError: there is none of that name.
    """
    setting = canonical(name, ours) or ""
    if setting in ours:
        return getattr(settings, setting)
    meaning = MEANINGS.get(setting)
    if meaning is not None and meaning.to:
        return meaning.shown(getattr(settings, meaning.to))
    if meaning is not None and meaning.why:
        raise AttributeError(f"{name} is no setting here: {meaning.why}.")
    raise AttributeError(f"There is no setting {name!r}.{suggestion(name, ours)}")


def suggestion(name: str, ours: Collection[str]) -> str:
    """What a name was probably meant to be, among our settings and Celery's, as a sentence; or nothing."""
    small = name.lower().removeprefix("celery_")
    near = suggest(small, [*ours, *MEANINGS]).partition("'")[2].rpartition("'")[0]
    meaning = MEANINGS.get(near)
    if not near or meaning is None or near in ours:
        return f" Did you mean {near!r}?" if near else ""
    what = f"{meaning.to!r} here" if meaning.to else meaning.why
    return f" Did you mean {near!r}{f' ({what})' if what else ''}?"


def _youth(name: str, setting: str) -> int:
    """How new a spelling is."""
    small = name.lower()
    return 2 if small == setting else 1 if small == f"celery_{setting}" else 0


def _one(found: Read, name: str, value: Any, meaning: Meaning) -> None:
    if not meaning.to:
        if not meaning.asks_for_nothing(value):
            found.remarks.append(Remark(name, meaning.why, meaning.missed))
    elif (here := meaning.read(value)) is not None:
        found.set(meaning.to, here, name)


def _result_backend(found: Read, name: str, value: Any) -> None:
    if value is None or str(value).startswith("disabled"):  # Celery keeps no results then
        found.set("task_ignore_result", True, name)
    else:
        found.remarks.append(Remark(name, KEPT_IN_THE_BROKER))


def _broker(found: Read, names: Mapping[str, str], given: Mapping[str, Any], broker: str | None) -> None:
    if not names:
        return
    url = BrokerUrl(found.values.get("broker", broker))
    before = url.url
    for setting in OF_THE_BROKER:
        if setting in names:
            name = names[setting]
            found.remarks += [Remark(name, why) for why in url.read(setting, given[name])]
    if url.url != before or "broker_url" in names:
        found.set("broker", url.url, names.get("broker_url") or next(iter(names.values())))
