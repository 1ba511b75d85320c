"""The command itself: help, version, mistakes, and how fast it answers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .conftest import SHOP, Shell

COMMANDS = [
    *("worker", "server", "demo", "call", "result", "revoke", "workflow", "tasks", "workers", "queues", "dead"),
    *("beat", "schedule"),
]
HEAVY = ["asyncio", "redis", "msgspec", "rich", "rich_click", "uvloop", "anyio", "aioqueue.app", "aioqueue.embedded"]
HEAVY += ["aioqueue.beat", "cronsim", "astral"]


def test_help_names_every_command(folder_shell: Shell) -> None:
    run = folder_shell("--help")
    assert run.code == 0
    assert [name for name in COMMANDS if f"\n  {name} " not in run.out] == []
    assert "\x1b" not in run.out


@pytest.mark.parametrize(
    "words", [["--help"], ["worker", "--help"], ["dead", "--help"], ["schedule", "add", "--help"], ["--version"]]
)
def test_help_imports_nothing_heavy(folder_shell: Shell, words: list[str]) -> None:
    program = (
        "import sys\nfrom aioqueue.cli import main\n"
        f"code = main({words!r})\n"
        f"print(code, [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=folder_shell.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr.strip() == "0 []"


@pytest.mark.parametrize(
    "command",
    [[name] for name in COMMANDS if name != "demo"]
    + [["dead", "show"], ["queues", "purge"], ["workflow", "show"], ["schedule", "add"]],
)
def test_every_command_has_help(folder_shell: Shell, command: list[str]) -> None:
    run = folder_shell.alone(*command, "--help")  # what it needs is imported by itself
    assert (run.code, run.err) == (0, "")
    assert run.out.startswith(f"Usage: aioqueue {' '.join(command)} ")


def test_version(folder_shell: Shell) -> None:
    from aioqueue import __version__

    run = folder_shell("--version")
    assert run.out.startswith(f"aioqueue {__version__} (")
    assert folder_shell("-V").out == run.out


def test_without_a_command_there_is_help(folder_shell: Shell) -> None:
    run = folder_shell()
    assert (run.code, "Send and follow:" in run.out) == (2, True)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["wroker"], "worker"),
        (["dead", "requeu", "x"], "requeue"),
        (["server", "statsu"], "status"),
        (["result", "--wiat"], "--wait"),
    ],
)
def test_a_misspelled_word_is_a_usage_error_with_a_suggestion(
    folder_shell: Shell, words: list[str], meant: str
) -> None:
    run = folder_shell(*words)
    assert (run.code, run.out) == (2, "")
    assert meant in run.err
    assert "Traceback" not in run.err
    assert "--help'." in run.err


def test_an_error_is_one_line_unless_asked_for_more(folder_shell: Shell) -> None:
    words = ["workers", "shop:app", "-b", "redis://127.0.0.1:1/0"]
    run = folder_shell(*words, AIOQUEUE_SEND_TIMEOUT="1")
    assert run.code == 1
    assert run.err.startswith("Error: ")
    assert run.err.count("\n") == 1
    assert "127.0.0.1:1" in run.err
    assert "Traceback" in folder_shell("--debug", *words, AIOQUEUE_SEND_TIMEOUT="1").err
    assert "Traceback" in folder_shell(*words, AIOQUEUE_SEND_TIMEOUT="1", AIOQUEUE_DEBUG="1").err
    assert folder_shell("tasks", "shop", AIOQUEUE_DEBUG="1").code == 0


def test_a_reader_that_goes_away_is_no_error(folder_shell: Shell) -> None:
    command = f"{sys.executable} -m aioqueue tasks shop | true"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder_shell.folder,
        env=folder_shell.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""


def test_letters_that_the_terminal_has_not(folder_shell: Shell) -> None:
    folder_shell.write("far.py", SHOP.replace("Add two numbers", "足し算"))
    run = folder_shell("tasks", "far", PYTHONUTF8="0", PYTHONIOENCODING="latin-1")
    assert (run.code, run.err) == (0, "")
    assert "\\u8db3" in run.out


def test_shells_can_complete(folder_shell: Shell) -> None:
    def completed(words: str, at: int) -> str:
        return folder_shell(_AIOQUEUE_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(at)).out

    assert completed("aioqueue wo", 1).split() == ["plain,worker", "plain,workflow", "plain,workers"]
    assert completed("aioqueue dead re", 2).split() == ["plain,requeue", "plain,remove"]


def test_a_wrong_setting_is_one_line(folder_shell: Shell) -> None:
    run = folder_shell("tasks", "shop:app", AIOQUEUE_VISIBILTY_TIMEOUT="3")
    assert run.code == 1
    assert "visibility_timeout" in run.err
    assert "Traceback" not in run.err


def test_the_demo_is_imported_when_it_is_called(folder_shell: Shell) -> None:
    # A stand-in: the command passes on every word, --help included.
    program = (
        "import sys, types, click\n"
        "from aioqueue.cli import main\n"
        "assert 'aioqueue.demo' not in sys.modules\n"
        "@click.command()\n@click.option('--size', type=int)\n@click.argument('where')\n"
        "def demo(size, where): print('demo of', size, where)\n"
        "package, module = types.ModuleType('aioqueue.demo'), types.ModuleType('aioqueue.demo.cli')\n"
        "package.__path__, module.demo = [], demo\n"
        "sys.modules |= {'aioqueue.demo': package, 'aioqueue.demo.cli': module}\n"
        "code = main(['demo', *sys.argv[1:]])\n"
        "sys.exit(code)"
    )

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, *words]
        return subprocess.run(
            command, env=folder_shell.environment, capture_output=True, text=True, timeout=60, check=False
        )

    assert run("--size", "3", "here").stdout == "demo of 3 here\n"
    assert "Usage: aioqueue demo [OPTIONS] WHERE" in run("--help").stdout
    assert run("--size", "x", "here").returncode == 2


def test_a_missing_demo_is_no_traceback(folder_shell: Shell) -> None:
    program = "import sys\nsys.modules['aioqueue.demo'] = None\nfrom aioqueue.cli import main\nsys.exit(main(['demo']))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=folder_shell.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "Error: This installation of aioqueue comes without the demo.\n")
