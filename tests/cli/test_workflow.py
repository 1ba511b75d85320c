"""`aioqueue workflow`."""

from __future__ import annotations

import re
import subprocess
import sys

import click
import pytest
from support.waiting import eventually

from aioqueue.cli.drawing import draw
from aioqueue.graph import Graph, GraphNode

from .conftest import Shell

FLOWS = """
import asyncio, os, sys

from aioqueue import AioQueue, TaskContext, TaskFailure, chain, chord, group

app = AioQueue("flows")


@app.task
async def add(x: int, y: int) -> int:
    return x + y


@app.task
async def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task
async def fragile(x: int) -> int:
    if not os.path.exists("repaired"):
        raise ValueError("no")
    return x


@app.task
async def heard(failure: TaskFailure) -> None: ...


@app.task(bind=True)
async def split(ctx: TaskContext, x: int) -> int:
    raise ctx.replace(group(add.s(x, n) for n in range(2)) | total.s())


def canvas(kind):
    linked = add.s(1)
    linked.link(add.s(5))
    return {
        "chain": lambda: chain(add.s(1, 1), add.s(2)),
        "nested": lambda: chain(add.s(1, 1), group(linked, chain(add.s(2), add.s(3)), add.s(3)), total.s()),
        "failing": lambda: chain(chord([add.s(1, 1), fragile.s(1)], total.s()), add.s(1)).on_error(heard.s()),
        "large": lambda: chord((fragile.s(n) if n == 5 else add.s(n, n) for n in range(2500)), total.s()),
        "replaced": lambda: chain(split.s(1), add.s(10)),
        "named": lambda: chain(add.s(1, 1), add.s(2).set(task_id="order-17")),
        "alone": lambda: add.s(1, 1),
    }[kind]()


async def main(kind):
    async with app:
        print((await canvas(kind).send()).id)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
def flows(aioqueue: Shell) -> Shell:
    aioqueue.write("flows.py", FLOWS)
    aioqueue.environment["AIOQUEUE_APP"] = "flows:app"
    return aioqueue


def sent(shell: Shell, kind: str) -> str:
    """The id of the result of a canvas that is sent."""
    done = subprocess.run(
        [sys.executable, "flows.py", kind],
        cwd=shell.folder,
        env=shell.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def burst(shell: Shell) -> None:
    assert shell("worker", "--burst", "-l", "critical").code == 0


def shown(out: str) -> list[str]:
    """The tree, as branches, names and states."""
    return [" ".join(re.sub(r"[0-9a-f-]{36}[\d.]*$", "", line).split()) for line in out.splitlines()[3:]]


def test_a_tree_before_and_after(flows: Shell) -> None:
    id = sent(flows, "nested")
    run = flows("workflow", "show", id)
    assert (run.code, run.err) == (3, "")
    assert run.out.splitlines()[0] == f"{id.partition('.')[0]}  0 of 7 tasks ended: 6 PENDING, 1 SENT"
    burst(flows)
    run = flows("workflow", "show", "flows:app", id)
    assert run.code == 0
    assert run.out.splitlines()[0] == f"{id.partition('.')[0]}  SUCCESS  7 tasks: 7 SUCCESS"
    assert shown(run.out) == [
        "flows.add SUCCESS",
        "group of 3 SUCCESS",
        "├─ flows.add SUCCESS",
        "│ flows.add SUCCESS",
        "├─ flows.add SUCCESS",
        "│ flows.add SUCCESS",
        "└─ flows.add SUCCESS",
        "flows.total SUCCESS",
    ]
    assert id in run.out.splitlines()[-1]
    assert "\x1b" not in run.out


def test_the_workflows_own_id_and_any_of_its_tasks(flows: Shell) -> None:
    id = sent(flows, "chain")
    whole = id.partition(".")[0]
    outs = {flows("workflow", "show", one).out for one in (id, whole, f"{whole}.1")}
    assert len(outs) == 1


def test_an_id_that_the_sender_chose(flows: Shell) -> None:
    assert sent(flows, "named") == "order-17"
    run = flows("workflow", "show", "order-17")
    assert (run.code, run.out.splitlines()[-1].split()) == (3, ["flows.add", "PENDING", "order-17"])


def test_a_failure_and_what_was_not_run(flows: Shell) -> None:
    id = sent(flows, "failing")
    burst(flows)
    run = flows("workflow", "show", id)
    assert run.code == 1
    assert run.out.splitlines()[0].endswith("FAILURE  4 tasks: 1 SUCCESS, 1 FAILURE, 2 not run")
    assert shown(run.out) == [
        "group of 2 FAILURE",
        "├─ flows.add SUCCESS",
        "└─ flows.fragile FAILURE",
        "└─ on error: flows.heard SUCCESS",
        "flows.total FAILURE (not run)",
        "flows.add FAILURE (not run)",
    ]


def test_what_goes_on_in_a_tasks_place(flows: Shell) -> None:
    id = sent(flows, "replaced")
    burst(flows)
    run = flows("workflow", "show", id)
    assert run.code == 0
    assert [line.removesuffix(" SUCCESS") for line in shown(run.out)] == [
        "group of 2",
        "├─ flows.add",
        "└─ flows.add",
        "flows.total",
        "flows.add",
    ]


def test_a_large_group_is_counted(flows: Shell) -> None:
    id = sent(flows, "large")
    burst(flows)
    run = flows("workflow", "show", id)
    assert (run.code, len(run.out.splitlines())) == (1, 7)
    assert shown(run.out)[1:3] == ["├─ 2499 × flows.add SUCCESS", "└─ flows.fragile FAILURE"]
    assert f"{id.partition('.')[0]}.7" in run.out
    assert len(flows("workflow", "show", id, "--members", "2500").out.splitlines()) == 2505


def test_watching(flows: Shell) -> None:
    id = sent(flows, "chain")
    watching = flows.start("workflow", "show", id, "--watch")
    watching.wait_for("1 PENDING, 1 SENT")
    burst(flows)
    assert watching.wait() == 0
    assert watching.out.splitlines()[0].endswith("SUCCESS  2 tasks: 2 SUCCESS")
    assert len(watching.out.splitlines()) == 5


def test_for_programs(flows: Shell) -> None:
    id = sent(flows, "chain")
    whole = id.partition(".")[0]
    burst(flows)
    data = flows("workflow", "show", id, "--json").json
    assert (data["id"], data["state"], data["ended"], data["end"]) == (whole, "SUCCESS", True, id)
    assert [(node["name"], node["after"], node["group"]) for node in data["nodes"]] == [
        ("flows.add", None, None),
        ("flows.add", f"{whole}.1", None),
    ]
    assert data["edges"] == [[f"{whole}.1", id]]
    assert flows("workflow", "show", id, "--format", "mermaid").out.startswith("flowchart LR\n    n0[")
    assert flows("workflow", "show", id, "--format", "dot").out.startswith("digraph workflow {\n")


def test_resume(flows: Shell) -> None:
    id = sent(flows, "failing")
    whole = id.partition(".")[0]
    burst(flows)
    flows.write("repaired", "")
    run = flows("workflow", "resume", id)
    assert (run.code, run.out) == (0, f"{whole}  resumed\n")
    assert re.search(rf"aioqueue -A \S+ workflow show {whole} --watch", run.err)
    burst(flows)
    assert flows("workflow", "show", whole).code == 0
    assert flows("result", id).out.split("result")[1].split()[0] == "4"
    again = flows("workflow", "resume", whole, "--json")
    assert (again.code, again.json) == (1, {"workflow": whole, "resumed": 0})
    assert "nothing in it has failed or was revoked" in again.err


def test_a_task_alone(flows: Shell) -> None:
    id = sent(flows, "alone")
    unknown = flows("workflow", "show", id)
    assert (unknown.code, unknown.out) == (1, "")
    burst(flows)
    run = flows("workflow", "show", id)
    assert (run.code, run.out.splitlines()[0]) == (0, f"{id}  SUCCESS  1 task: 1 SUCCESS")
    run = flows("workflow", "resume", id)
    assert (run.code, "is in no workflow" in run.err) == (1, True)


@pytest.mark.parametrize("id", ["nope", "0" * 36, "0" * 36 + ".7", "{x}", "a*"])
@pytest.mark.parametrize("command", ["show", "resume"])
def test_ids_of_nothing(flows: Shell, command: str, id: str) -> None:
    run = flows("workflow", command, id)
    assert (run.code, run.out) == (1, "")
    assert f"Nothing is known of a workflow of {id!r} in 'flows'" in run.err


def test_wrong_words(flows: Shell) -> None:
    for words, said in ((["show", "a", "b"], "one id, not 2"), (["show"], "Missing argument"), (["shw", "a"], "show")):
        run = flows("workflow", *words)
        assert (run.code, said in run.err) == (2, True)


def test_revoking_the_result_ends_all_of_it(flows: Shell) -> None:
    id = sent(flows, "nested")
    assert flows("revoke", id).code == 0
    eventually(lambda: "7 REVOKED" in flows("workflow", "show", id).out, "all of it revoked")


def _graph(depth: int) -> Graph:
    nodes = [GraphNode(id=f"g{n}", name="group", kind="group", group=f"g{n - 1}" if n else "") for n in range(depth)]
    nodes.append(GraphNode(id="t", name="x\x1b[2J", group=f"g{depth - 1}"))
    return Graph(id="w", end="g0", nodes=nodes, edges=[])


def test_depth_and_names_are_data() -> None:
    lines = draw(_graph(5000), members=20, width=80)
    assert len(lines) < 50
    assert not any("\x1b[2J" in line for line in draw(_graph(2), members=20, width=80))


def test_letters_where_there_are_no_lines() -> None:
    text = "\n".join(draw(_graph(2), members=0, width=80, encoding="ascii"))
    assert text.isascii()
    assert "`- 1 x x" in click.unstyle(text)
