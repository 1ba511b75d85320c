"""Which files: an even selection of the texts below a folder, and a few that only the task will find to be no text."""

from __future__ import annotations

import os
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path, PurePath

from aioqueue.demo.languages import language_of
from aioqueue.exceptions import ConfigurationError

_NOT_TEXT = 4
_LARGEST = 1_000_000
_MOST_ENTRIES = 200_000


@dataclass(frozen=True)
class Selection:
    """The files of a run.

    Attributes:
        folder: where they are.
        paths: of all of them.
        texts_found: how many there are below the folder whose names promise text.
        not_text: how many of `paths` are binary files.
    """

    folder: Path
    paths: list[str]
    texts_found: int
    not_text: int


def default_folder() -> Path:
    """The packages of the virtual environment that runs this; the current folder where there is none."""
    if sys.prefix != sys.base_prefix:
        return Path(sysconfig.get_path("purelib"))
    return Path.cwd()


def select(folder: Path, limit: int) -> Selection:
    """Up to `limit` files below `folder`, of up to 1 MB each.

    Raises:
        ConfigurationError: there are none.
    """
    folder = folder.absolute()
    texts: list[str] = []
    others: dict[str, str] = {}  # one of each kind
    for path, size in _files(folder):
        if size > _LARGEST:
            continue
        if language_of(path) is not None:
            texts.append(path)
        elif size and len(others) < 20:
            others.setdefault(PurePath(path).suffix.lower(), path)
    if not texts:
        raise ConfigurationError(
            f"The demo reads text files, and there are none below {folder}. Give another --folder."
        )
    texts.sort()
    binaries = [path for _, path in sorted(others.items()) if _is_binary(path)]
    # Few of them: they are the exception in the demo, too.
    binaries = binaries[: min(_NOT_TEXT, limit // 100, len(texts) // 100)]
    wanted = min(len(texts), limit - len(binaries))
    paths = [texts[number * len(texts) // wanted] for number in range(wanted)]
    return Selection(folder, sorted(paths + binaries), len(texts), len(binaries))


def _files(folder: Path) -> list[tuple[str, int]]:
    """All files below a folder with their sizes; links are not followed, what can't be read is passed over."""
    found: list[tuple[str, int]] = []
    folders = [os.fspath(folder)]
    while folders and len(found) < _MOST_ENTRIES:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.is_file(follow_symlinks=False) and _can_be_sent(entry.path):
                        found.append((entry.path, entry.stat(follow_symlinks=False).st_size))
        except OSError:
            continue
    return found


def _can_be_sent(path: str) -> bool:
    """Whether its name is text: on Linux it need not be."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_binary(path: str) -> bool:
    try:
        Path(path).read_bytes().decode()
    except OSError:
        return False
    except UnicodeDecodeError:
        return True
    return False
