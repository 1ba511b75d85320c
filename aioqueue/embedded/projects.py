"""Which projects use a server: two whose apps have one name share it, and its tasks, which is told to whoever joins.

A project is the folder that an app's tasks are imported from, and what it can do is the names of its tasks.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

FORGET_AFTER = 30 * 24 * 3600.0
"""Seconds since a project's last use of the server: then it is one no more."""
_FEW = 3

logger = logging.getLogger("aioqueue.embedded")


@dataclass(frozen=True, slots=True)
class Project:
    """A project that uses the server.

    Attributes:
        namespace: where its tasks wait.
        folder: what its tasks are imported from.
        tasks: their names.
    """

    namespace: str
    folder: str
    tasks: frozenset[str]


def meet(notes: Path, own: Project) -> list[tuple[Project, float]]:
    """Note down that a project uses the server; returns the others that do, and when each did last.

    Args:
        notes: the folder where that is noted, in the server's data.
        own: the project that comes.
    """
    notes.mkdir(mode=0o700, exist_ok=True)
    name = hashlib.sha256(f"{own.namespace}\0{own.folder}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
    new = notes / f".{name}"
    content = {"namespace": own.namespace, "folder": own.folder, "tasks": sorted(own.tasks)}
    new.write_text(json.dumps(content))
    new.replace(notes / f"{name}.json")
    others: list[tuple[Project, float]] = []
    for file in notes.glob("*.json"):
        found = _read(file)
        if found is None or found[0].namespace != own.namespace or found[0].folder == own.folder:
            continue
        project, used = found
        if time.time() - used > FORGET_AFTER or not Path(project.folder).is_dir():
            file.unlink(missing_ok=True)
        else:
            others.append(found)
    return others


def tell_of_others(name: str, notes: Path, own: Project) -> None:
    """Say so if a project of another folder uses the server: each runs what the other sends, as far as it knows it."""
    try:
        others = meet(notes, own)
    except OSError as error:
        logger.debug("Who else uses the embedded server of %r cannot be said: %s", name, error)
        return
    for other, used in others:
        day = time.strftime("%Y-%m-%d", time.localtime(used))
        _warn(name, own.folder, other.folder, day, _what_happens(own, other))


def _what_happens(own: Project, other: Project) -> str:
    strange, common = other.tasks ^ own.tasks, other.tasks & own.tasks
    told: list[str] = []
    if strange:
        told.append(
            f"Only one of them knows {_few(strange)}: a worker of the other moves what it does not know to the dead "
            "letters."
        )
    if common:
        told.append(f"Both know {_few(common)}: a worker of either runs what the other sends, with its own code.")
    return " ".join(told)


@lru_cache(maxsize=64)
def _warn(name: str, folder: str, other: str, day: str, what: str) -> None:
    """Once in a process."""
    logger.warning(
        "%s and %s both have an app named %r, so they share a private server and its queues (the other one used it on "
        "%s). %s Give one app another name; or, if they belong together, say so with broker='embedded://%s'.",
        *(folder, other, name, day, what, name),
    )


def _few(tasks: Collection[str]) -> str:
    names = sorted(tasks)
    return ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more tasks" if len(names) > _FEW else "")


def _read(file: Path) -> tuple[Project, float] | None:
    try:
        said = cast("dict[str, Any]", json.loads(file.read_text()))
        project = Project(str(said["namespace"]), str(said["folder"]), frozenset(map(str, said["tasks"])))
        return project, file.stat().st_mtime
    except (OSError, ValueError, TypeError, KeyError):
        return None
