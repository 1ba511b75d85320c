"""The files of examples/deploy are what they say: units that systemd takes, and commands that run as they stand."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis
from support.command import environment_without
from support.waiting import eventually

from aioqueue import AioQueue
from aioqueue.settings import Settings

yaml: Any = pytest.importorskip("yaml")

DEPLOY = Path(__file__).parents[2] / "examples" / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
WORKER = ["aioqueue", "worker", "shop:app", "--logformat", "json"]
BEAT = ["aioqueue", "beat", "shop:app"]


def _manifest(kind: str, name: str) -> dict[str, Any]:
    [found] = [one for one in MANIFESTS if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def _container(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is said of a deployment's pods, and of their only container."""
    deployment = _manifest("Deployment", name)
    assert deployment["apiVersion"] == "apps/v1"
    template = deployment["spec"]["template"]
    assert deployment["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]
    [container] = template["spec"]["containers"]
    return template["spec"], container


@pytest.fixture
def environment(redis_url: str, tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """As in the container: the commands on PATH, the app in the current folder."""
    shutil.copy(DEPLOY / "shop.py", tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    yield {**environment_without(), "PATH": path, "AIOQUEUE_BROKER": redis_url, "AIOQUEUE_APP": "shop:app"}


def test_all_run_the_same_commands() -> None:
    [command] = re.findall(r"^CMD (\[.*\])", DOCKERFILE, re.MULTILINE)
    assert json.loads(command) == WORKER
    assert shlex.split(COMPOSE["worker"]["command"]) == _container("shop-worker")[1]["command"] == WORKER
    assert shlex.split(COMPOSE["beat"]["command"]) == _container("shop-beat")[1]["command"] == BEAT
    for unit, words in zip(UNITS, (BEAT, WORKER[:3]), strict=True):
        [start] = re.findall(r"^ExecStart=/srv/shop/.venv/bin/(.*)", unit.read_text(), re.MULTILINE)
        assert shlex.split(start)[:3] == words


def test_what_is_copied_into_the_image_is_there() -> None:
    root = DEPLOY.parents[1]
    for sources in re.findall(r"^COPY (?:--\S+ )?(.*) \S+$", DOCKERFILE, re.MULTILINE):
        assert all((root / source).exists() for source in sources.split()), sources
    assert (DEPLOY / COMPOSE["worker"]["build"]["context"]).resolve() == root


def test_a_stop_has_more_time_than_the_worker_takes() -> None:
    takes = Settings().worker_shutdown_timeout
    assert int(COMPOSE["worker"]["stop_grace_period"].removesuffix("s")) > takes
    assert _container("shop-worker")[0]["terminationGracePeriodSeconds"] > takes
    [seconds] = re.findall(r"^TimeoutStopSec=(\d+)", UNITS[1].read_text(), re.MULTILINE)
    assert int(seconds) > takes


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        name = unit.name.replace("@", "@1")
        text = unit.read_text().replace("/srv/shop/.venv/bin/aioqueue", sys.executable)  # which has to be there
        (tmp_path / name).write_text(text.replace("User=shop", "User=root").replace("/srv/shop", str(tmp_path)))
    names = [str(tmp_path / unit.name.replace("@", "@1")) for unit in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names], capture_output=True, text=True, timeout=60, check=False
    )
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "shop-" in line or str(tmp_path) in line]
    assert ours == []


def test_the_commands_and_the_probe_as_they_stand(
    environment: Mapping[str, str], redis_url: str, tmp_path: Path
) -> None:
    _, container = _container("shop-worker")
    [probe] = {tuple(container[name]["exec"]["command"]) for name in ("startupProbe", "livenessProbe")}
    assert probe[:3] == ("aioqueue", "workers", "ping")
    assert f"CMD {json.dumps([*probe])}" in DOCKERFILE

    def alive() -> bool:
        return not subprocess.run(probe, env=environment, cwd=tmp_path, timeout=60, check=False).returncode

    processes = [subprocess.Popen(words, env=environment, cwd=tmp_path) for words in (WORKER, BEAT)]
    try:
        with redis.Redis.from_url(redis_url) as client:
            eventually(lambda: client.zcard("{shop:0}:leases"), "a worker is alive")
            assert alive()
            eventually(lambda: client.zcard("{shop:0}:schedulers"), "a scheduler is alive")
            worker = client.hvals("{shop:0}:workers")
            assert socket.gethostname().encode() in worker[0]
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(timeout=40) for process in processes]
    assert codes == [0, 0]
    assert not alive()


async def test_keda_looks_at_the_stream_where_tasks_wait(redis_url: str) -> None:
    scaled = _manifest("ScaledObject", "shop-worker")
    assert scaled["apiVersion"] == "keda.sh/v1alpha1"
    assert scaled["spec"]["scaleTargetRef"]["name"] == _manifest("Deployment", "shop-worker")["metadata"]["name"]
    [trigger] = scaled["spec"]["triggers"]
    about = trigger["metadata"]
    assert (trigger["type"], all(isinstance(value, str) for value in about.values())) == ("redis-streams", True)
    program = runpy.run_path(str(DEPLOY / "shop.py"))
    app: AioQueue = program["app"]
    app.conf.update(broker=redis_url)
    with redis.Redis.from_url(redis_url) as client:
        async with app:
            await app.send_many(program["add"].s(n, n) for n in range(3))
            assert client.xlen(about["stream"]) == 3
            await app.worker(burst=True).run(install_signals=False)
        assert client.xlen(about["stream"]) == 0  # what has ended is not in it
        [group] = client.xinfo_groups(about["stream"])
        assert group["name"].decode() == about["consumerGroup"]
