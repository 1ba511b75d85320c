"""What is nobody's business is not shown: in the text of canvases, and in what a worker logs of them."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from aioqueue import TaskContext, chain, chord, group

from .stage import Stage

SECRET = "hunter2"


@pytest.fixture
def stage_with_login(stage: Stage) -> Stage:
    @stage.app.task(name="login")
    async def login(user: str, password: str = "", *, api_key: str = "") -> str:
        return user

    @stage.app.task(name="go_on", bind=True)
    async def go_on(ctx: TaskContext) -> str:
        raise ctx.replace(login.s("ann", SECRET))

    return stage


def test_the_text_of_a_canvas(stage_with_login: Stage) -> None:
    login = stage_with_login.app.tasks["login"]
    for one in (
        login.s("ann", SECRET),
        login.s(SECRET),  # the user comes from the task before it
        login.si("ann", password=SECRET),
        login.s("ann", api_key=SECRET),
        login.map([SECRET]),
        login.starmap([("ann", SECRET)]),
        stage_with_login.app.signature("login", ("ann", SECRET)),
        stage_with_login.app.signature("unknown_here", (), {"Auth_Token": SECRET}),
        stage_with_login.app.signature(login.s("ann", SECRET).to_dict()),
    ):
        for canvas in (one, chain(one, one), group(one), chord([one], one), one.clone()):
            assert SECRET not in repr(canvas), canvas
    assert repr(login.si("ann", "x")) == "login('ann', ***)"
    assert repr(login.s("ann", "x", api_key="k")) == "login(***, ***, api_key=***)"


async def test_what_is_logged_of_a_replacement(stage_with_login: Stage, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert await stage_with_login.app.tasks["go_on"].call(timeout=10) == "ann"
    assert "was replaced by login" in caplog.text and SECRET not in caplog.text


def test_the_hidden_words_are_a_setting(stage_with_login: Stage) -> None:
    stage_with_login.app.conf.hidden_arguments = ["USER"]
    assert repr(stage_with_login.app.tasks["login"].si("ann", SECRET)) == f"login(***, '{SECRET}')"


@pytest.mark.parametrize("how", ["map", "starmap", "chunks"])
async def test_the_record_of_many_calls_hides_them_as_that_of_one(stage_with_login: Stage, how: str) -> None:
    login = stage_with_login.app.tasks["login"]
    items: list[Any] = [("ada", SECRET)] * 8 if how != "map" else ["ada"] * 8
    async with stage_with_login.app, stage_with_login.app.worker():
        sent = await (login.chunks(items, 8) if how == "chunks" else getattr(login, how)(items)).send()
        await sent.get(timeout=10)
        info = await (sent[0] if how == "chunks" else sent).info()
    assert SECRET not in info.args
    assert info.args.startswith("[('ada', ***), " if how != "map" else "[('ada'), ")
    assert info.args.endswith(", …]")
