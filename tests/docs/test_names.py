"""Commands, options, settings, errors, fields and files that the documentation names are there, and the reverse."""

from __future__ import annotations

import ast
import inspect
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import aioqueue
from aioqueue import exceptions, message
from aioqueue.brokers.redis import keys
from aioqueue.cli.root import root
from aioqueue.settings import Settings

from .pages import DOCS, ROOT, blocks, inline_code, pages

PACKAGE = Path(aioqueue.__file__).parent
_OTHER_VARIABLES = {"APP", "DEBUG", "SERVER_BINARY", "DATA_DIR", "RUNTIME_DIR"}
_ROW = re.compile(r"^\| `(\w+)` \| `(.*?)` \|", re.MULTILINE)


# Commands


def _commands(page: Path) -> Iterator[str]:
    for block in blocks(page):
        if block.language in ("console", "sh", "bash"):
            text = block.text.replace("\\\n", " ")
            for line in text.splitlines():
                if block.language != "console" or line.startswith("$ "):
                    yield from re.split(r"\s(?:&&|\|\||\||;|>)\s", line.removeprefix("$ "))
        elif block.language == "dockerfile":
            yield from (
                shlex.join(json.loads(line.removeprefix("CMD ")))
                for line in block.text.splitlines()
                if line.startswith("CMD [")
            )
        elif block.language in ("ini", "yaml"):
            yield from re.findall(r"(?:ExecStart=|command: )(.*)", block.text)
    yield from (text for text in inline_code(page) if re.match(r"aioqueue \S", text))


def _check(words: list[str]) -> None:
    """Parse a command line as click would, without running it."""
    context = root.make_context("aioqueue", words)
    command: click.Command = root
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        context, command = found.make_context(name, rest, parent=context), found


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages()])
def test_commands(page: Path) -> None:
    for text in _commands(page):
        words = [word for word in shlex.split(text, comments=True) if word != "…"]
        while words and re.match(r"[A-Z_]+=", words[0]):
            del words[0]
        if words[:3] == ["python", "-m", "aioqueue"]:
            words = words[2:]
        if not words or Path(words[0]).name != "aioqueue" or len(words) == 1 or "demo" in words[1:2]:
            continue
        try:
            _check(words[1:])
        except click.exceptions.Exit:
            pass  # --help, --version
        except click.ClickException as error:
            raise AssertionError(f"{page.relative_to(ROOT)}: {text}: {error.format_message()}") from None


def _all_commands(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield f"{path} {name}".strip(), found
            yield from _all_commands(found, f"{path} {name}".strip())


def test_all_commands_and_options_are_in_the_reference() -> None:
    text = (DOCS / "reference" / "cli.md").read_text()
    for path, command in _all_commands(root):
        assert f"`{path}`" in text or f"aioqueue {path}" in text, f"aioqueue {path}"
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                for name in (*option.opts, *option.secondary_opts):
                    assert f"`{name}`" in text, f"{name} of aioqueue {path}"


# Settings


def test_the_reference_lists_all_settings_with_their_defaults() -> None:
    listed = dict(_ROW.findall((DOCS / "reference" / "settings.md").read_text()))
    assert {name: ast.literal_eval(text) for name, text in listed.items()} == {
        name: getattr(Settings(), name) for name in Settings.__struct_fields__
    }


def test_variables_are_those_of_settings() -> None:
    known = {name.upper() for name in Settings.__struct_fields__} | _OTHER_VARIABLES
    for page in pages():
        for name in re.findall(r"\bAIOQUEUE_([A-Z_]*[A-Z])\b", page.read_text()):
            assert name in known, f"{page.relative_to(ROOT)}: AIOQUEUE_{name}"


# Promises


def test_numbers_of_promises_lead_to_promises() -> None:
    promised = set(re.findall(r"^\*\*(D\d+)\b", (DOCS / "concepts" / "promises.md").read_text(), re.MULTILINE))
    files = [
        file for kind in ("py", "lua") for folder in (PACKAGE, ROOT / "tests") for file in folder.rglob(f"*.{kind}")
    ]
    for file in files:
        text = file.read_text(encoding="utf-8")
        for number in re.findall(r"(?<![\"'\w])D\d{1,2}\b(?![\"'])", text):
            assert number in promised, f"{file.relative_to(ROOT)}: {number}"


# Errors


def test_the_reference_lists_all_errors() -> None:
    text = (DOCS / "reference" / "errors.md").read_text()
    for name, value in vars(exceptions).items():
        if inspect.isclass(value) and issubclass(value, exceptions.AioQueueError):
            assert f"`{name}`" in text, name


# Messages and keys


def test_the_reference_lists_all_fields() -> None:
    text = (DOCS / "reference" / "messages.md").read_text()
    for kind in (message.Message, message.Record, message.DeadLetter):
        for name in kind.__struct_fields__:
            assert f"`{name}`" in text, f"{name} of {kind.__name__}"


def test_the_architecture_lists_all_keys() -> None:
    text = (DOCS / "concepts" / "architecture.md").read_text()
    listed = [name for row in re.findall(r"^\| (`\{ns:0\}:.*?) \|", text, re.MULTILINE) for name in row.split(", ")]
    known = re.findall(r"^    \{ns:0\}:(.*?)  ", keys.__doc__ or "", re.MULTILINE)
    names = [name for line in known for name in line.split(", ")]
    assert sorted(listed) == sorted(f"`{{ns:0}}:{name}`" for name in names)


# Files


# Functions


_STEP = re.compile(r"^\|[^|]*\| `(aioqueue/[\w/]+\.(?:py|lua))` \|([^|]*)\|$", re.MULTILINE)
_LUA_FUNCTION = re.compile(r"\bfunction (?:self\.)?(\w+)\(|\bself\.(\w+) = ")


def _defined(path: Path) -> set[str]:
    """The functions and classes of a file; those of a class after its name and a dot."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".lua":
        return {name for found in _LUA_FUNCTION.findall(text) for name in found}
    names: set[str] = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{one.name}"
                for one in node.body
                if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return names


def test_functions_are_where_the_life_of_a_task_says() -> None:
    steps = _STEP.findall((DOCS / "concepts" / "life-of-a-task.md").read_text())
    assert len(steps) > 30
    for path, functions in steps:
        missing = set(re.findall(r"`([\w.]+)`", functions)) - _defined(ROOT / path)
        assert not missing, f"{path} has no {', '.join(sorted(missing))}"


@pytest.mark.skipif(not (ROOT / "mkdocs.yml").exists(), reason="a part of the repository")
@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages()])
def test_files_exist(page: Path) -> None:
    text = page.read_text()
    named = re.findall(r"`((?:aioqueue|tests|docs|benchmarks|examples)/[\w./-]*)`", text)
    linked = [] if page.is_relative_to(DOCS) else re.findall(r"\]\(((?!https?:)[^)#]+)", text)
    for path in (*named, *linked):
        assert (ROOT / path).exists(), f"{page.relative_to(ROOT)}: {path}"
