"""Where the app is looked for, and what is said when it is not there."""

from __future__ import annotations

import pytest

from .conftest import SHOP, Shell


@pytest.fixture
def project(folder_shell: Shell) -> Shell:
    folder_shell.write("proj/__init__.py", "")
    folder_shell.write("proj/tasks.py", SHOP)
    folder_shell.write("two.py", "from aioqueue import AioQueue\nfirst = AioQueue('a')\nsecond = AioQueue('b')\n")
    folder_shell.write("named.py", "from aioqueue import AioQueue\nqueue = AioQueue('named')\nalias = queue\n")
    folder_shell.write("holder.py", "import shop\nclass Holder:\n    inner = shop.app\n")
    folder_shell.write("celeryish.py", "from aioqueue import AioQueue\nother = AioQueue('x')\napp = AioQueue('y')\n")
    folder_shell.write("broken.py", "def f():\n    return 1 / 0\nf()\n")
    folder_shell.write("needy.py", "import not_there_at_all\n")
    folder_shell.write("empty.py", "")
    folder_shell.write(
        "including.py", "from aioqueue import AioQueue\napp = AioQueue('i', include=['extra', 'proj.more'])\n"
    )
    folder_shell.write("extra.py", "from including import app\n@app.task\ndef included(): ...\n")
    folder_shell.write("proj/more.py", "from including import app\n@app.task\ndef also(): ...\n")
    return folder_shell


@pytest.mark.parametrize(
    "words",
    [
        ["tasks", "shop:app"],
        ["tasks", "shop"],
        ["tasks", "shop.app"],
        ["tasks", "-A", "shop:app"],
        ["tasks", "--app=shop"],
        ["-A", "shop:app", "tasks"],
        ["--app", "shop", "tasks"],
        ["-A", "two:first", "tasks", "-A", "shop"],
        ["tasks", "holder:Holder.inner"],
    ],
)
def test_every_way_to_name_the_app(project: Shell, words: list[str]) -> None:
    run = project(*words)
    assert (run.code, run.err) == (0, "")
    assert "shop.add(x: int, y: int) -> int\n    Add two numbers.\n" in run.out


def test_the_app_of_the_environment(project: Shell) -> None:
    assert "shop.add" in project("tasks", AIOQUEUE_APP="shop:app").out
    assert "proj.tasks.add" in project("tasks", "proj.tasks:app", AIOQUEUE_APP="shop:app").out


def test_the_usual_places_in_a_package_or_a_module(project: Shell) -> None:
    assert "proj.tasks.add" in project("tasks", "proj").out
    assert project("tasks", "named").code == 0
    assert "The app 'y' has no tasks" in project("tasks", "celeryish").err


def test_what_the_app_includes_is_imported(project: Shell) -> None:
    assert [task["name"] for task in project("tasks", "including", "--json").json] == [
        "extra.included",
        "proj.more.also",
    ]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("shop:ap", ["shop has no 'ap'", "Did you mean 'app'?", "It holds: shop:app."]),
        ("shop:add", ["shop:add is a Task, not an AioQueue", "shop:app"]),
        ("shpo:app", ["no module 'shpo'", "Did you mean 'shop'?"]),
        ("proj.taks:app", ["no module 'proj.taks'", "Did you mean 'proj.tasks'?"]),
        ("porj.tasks:app", ["no module 'porj'", "Did you mean 'proj'?"]),
        ("two", ["holds 2 apps", "two:first", "two:second"]),
        ("empty", ["No app in 'empty'", "app = AioQueue('name')"]),
        ("empty:app", ["empty has no 'app'", "There is no AioQueue in"]),
        ("proj/tasks.py:app", ["does not name an app", "Did you mean 'proj.tasks:app'?"]),
        ("./shop.py", ["does not name an app", "Did you mean 'shop'?"]),
        ("shop.py", ["names a file", "without the .py: shop"]),
        (":app", ["does not name an app"]),
        ("../shop:app", ["does not name an app"]),
        ("1shop", ["does not name an app"]),
    ],
)
def test_an_app_that_is_not_there(project: Shell, place: str, said: list[str]) -> None:
    run = project("tasks", place)
    assert (run.code, run.out) == (2, "")
    assert [part for part in said if part not in run.err] == []
    assert "Traceback" not in run.err


def test_no_app_at_all(project: Shell) -> None:
    for words in (["tasks"], ["worker"], ["workers"], ["dead"], ["queues"], ["result", "some-id"]):
        run = project(*words)
        assert run.code == 2
        assert "Which app?" in run.err


def test_a_module_names_the_app_before_other_words_too(project: Shell) -> None:
    lines = {
        ("queues", "show", "shop", "default"): 0,
        ("queues", "purge", "shop", "default", "default", "-y"): 0,
        ("result", "shop", "some-id"): 3,
        ("revoke", "shop", "some-id", "other-id"): 1,
        ("dead", "show", "shop", "some-id"): 1,
        ("dead", "remove", "shop", "some-id"): 1,
        ("workflow", "show", "shop", "some-id"): 1,
        ("schedule", "show", "shop", "some-id"): 1,
        ("schedule", "next", "shop", "some-id", "3"): 1,
    }
    for words, code in lines.items():
        run = project("-b", "memory://", *words)
        assert run.code == code, (words, run)
        assert "Which app?" not in run.err
    run = project("result", "shpo", "some-id")
    assert run.code == 2 and "no module 'shpo'" in run.err and "Did you mean 'shop'?" in run.err
    with_namespace = project("-b", "memory://", "revoke", "some-id", "shop", "--json", AIOQUEUE_NAMESPACE="else")
    assert [one["id"] for one in with_namespace.json] == ["some-id", "shop"]


def test_an_error_in_the_users_module_is_shown_without_our_frames(project: Shell) -> None:
    run = project("tasks", "broken")
    assert run.code == 1
    assert "broken cannot be imported" in run.err
    assert "return 1 / 0" in run.err
    assert "ZeroDivisionError" in run.err
    assert "importlib" not in run.err
    assert "aioqueue/cli" not in run.err


def test_a_missing_import_of_the_users_module_is_not_a_missing_app(project: Shell) -> None:
    run = project("tasks", "needy")
    assert run.code == 1
    assert "No module named 'not_there_at_all'" in run.err


def test_a_missing_include_is_named(project: Shell) -> None:
    project.write("wrong.py", "from aioqueue import AioQueue\napp = AioQueue('w', include=['nowhere'])\n")
    run = project("tasks", "wrong")
    assert run.code == 1
    assert "nowhere" in run.err
    assert "Traceback" not in run.err
