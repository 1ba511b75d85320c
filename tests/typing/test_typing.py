"""What type checkers say of right and of wrong uses."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aioqueue.settings import Settings

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RIGHT, WRONG = HERE / "right.py", HERE / "wrong.py"
SETTINGS = "settings.py"
TIMEOUT = 110

Reports = dict[str, dict[int, list[str]]]


def _tool(*names: str) -> str:
    beside = Path(sys.executable).parent
    for name in names:
        if found := shutil.which(name, path=str(beside)) or shutil.which(name):
            return found
    pytest.skip(f"none of {', '.join(names)} is installed")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module in which each setting is given to each place that takes it, and read."""
    lines = [
        "from aioqueue.given import AllSettingsGiven",
        "from aioqueue.settings import Settings",
        "def give(conf: Settings, given: AllSettingsGiven) -> None:",
        "    conf.update(**given)",
    ]
    for name in Settings.__struct_fields__:
        lines += [
            f"    if {name!r} in given:",
            f"        conf.{name} = given[{name!r}]",
            f"    given[{name!r}] = conf.{name}",
        ]
    file = tmp_path_factory.mktemp("settings") / SETTINGS
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture(scope="module")
def pyright(tmp_path_factory: pytest.TempPathFactory, settings: Path) -> Reports:
    """The lines that pyright reports in each file, in its strict mode."""
    config = tmp_path_factory.mktemp("pyright") / "pyrightconfig.json"
    config.write_text(
        json.dumps(
            {
                "include": [str(RIGHT), str(WRONG), str(settings)],
                "extraPaths": [str(ROOT)],
                "typeCheckingMode": "strict",
                "pythonVersion": "3.11",
                "reportUnusedCoroutine": "error",
            }
        )
    )
    command = [_tool("basedpyright", "pyright"), "--outputjson", "--pythonpath", sys.executable, "-p", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False, cwd=config.parent)
    answer = json.loads(done.stdout)
    assert answer["summary"]["filesAnalyzed"] == 3, done.stdout + done.stderr
    reports: Reports = {}
    for one in answer["generalDiagnostics"]:
        if one["severity"] == "error":
            lines = reports.setdefault(Path(one["file"]).name, {})
            lines.setdefault(one["range"]["start"]["line"] + 1, []).append(one["message"])
    return reports


@pytest.fixture(scope="module")
def mypy(tmp_path_factory: pytest.TempPathFactory, settings: Path) -> Reports:
    """The lines that mypy --strict reports in each file."""
    folder = tmp_path_factory.mktemp("mypy")
    config = folder / "mypy.ini"
    config.write_text("[mypy]\npython_version = 3.11\nstrict = true\nfollow_imports = silent\n")
    command = [_tool("mypy"), "--config-file", str(config), "--cache-dir", str(folder / "cache")]
    command += ["--no-error-summary", "--hide-error-context", "--no-pretty", "--no-color-output"]
    done = subprocess.run(
        [*command, str(RIGHT), str(WRONG), str(settings)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT)},
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    reports: Reports = {}
    for path, line, message in re.findall(r"^(.+?):(\d+): error: (.*)$", done.stdout, re.MULTILINE):
        reports.setdefault(Path(path).name, {}).setdefault(int(line), []).append(message)
    return reports


def _marked() -> set[int]:
    lines = WRONG.read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}


@pytest.fixture(params=["pyright", "mypy"])
def reports(request: pytest.FixtureRequest) -> Reports:
    found: Reports = request.getfixturevalue(request.param)
    return found


def test_right_uses_are_right(reports: Reports) -> None:
    assert reports.get("right.py", {}) == {}


def test_settings_are_read_and_given_as_their_types_say(reports: Reports) -> None:
    assert reports.get(SETTINGS, {}) == {}


def test_wrong_uses_are_reported_and_nothing_else(reports: Reports) -> None:
    found, marked = reports.get("wrong.py", {}), _marked()
    assert len(marked) > 150
    lines = WRONG.read_text().splitlines()
    assert [lines[number - 1].strip() for number in sorted(marked - set(found))] == [], "not reported"
    assert {number: found[number] for number in sorted(set(found) - marked)} == {}, "reported for nothing"
