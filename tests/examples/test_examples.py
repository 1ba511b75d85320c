"""The examples, run as their readers run them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest
from support.command import environment_without
from support.waiting import eventually

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Folders of its own for the embedded server, with short paths, as sockets need."""
    root = tempfile.mkdtemp(prefix="aqx-")
    folders = {"AIOQUEUE_RUNTIME_DIR": f"{root}/run", "AIOQUEUE_DATA_DIR": f"{root}/data"}
    yield {**environment_without(), **folders, "PYTHONUNBUFFERED": "1"}
    shutil.rmtree(root, ignore_errors=True)


def run(environment: dict[str, str], *arguments: object) -> str:
    """A Python program's output; it must end well."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        cwd=EXAMPLES,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_hello(environment: dict[str, str]) -> None:
    assert run(environment, "hello.py") == "5\n"


def test_hello_has_twelve_lines() -> None:
    code = [line for line in (EXAMPLES / "hello.py").read_text().splitlines() if line.strip()]
    assert len(code) == 12


def test_hello_from_the_command_line(environment: dict[str, str]) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "aioqueue", "worker", "hello:app", "-l", "error"], env=environment, cwd=EXAMPLES
    )
    try:
        assert run(environment, "-m", "aioqueue", "call", "hello:app", "add", 2, 3, "--wait").strip() == "5"
    finally:
        worker.terminate()
        assert worker.wait(timeout=30) == 0


def test_retries(environment: dict[str, str]) -> None:
    assert run(environment, "retries.py").splitlines() == [
        "retries.fetch: 'fine', retries: 2",
        "retries.fetch_politely: 'fine', retries: 1",
        "retries.fetch: HTTP Error 503: Service Unavailable; failed after 3 retries: "
        "urllib.error.HTTPError: HTTP Error 503: Service Unavailable",
        "retries.fetch: 'fine' when sent again",
    ]


def test_schedules(environment: dict[str, str]) -> None:
    lines = run(environment, "schedules.py").splitlines()
    # One that is due in each hour may come in between.
    assert [line.partition(" ")[2] for line in lines[:3]] == ["degrees"] * 3
    assert [line.partition(":")[0] for line in lines[3:]] == ["measure", "report", "water herbs", "water tomatoes"]
    assert lines[4] == "report: next at Fri 18:00"


def test_the_test_of_schedules(environment: dict[str, str], tmp_path: Path) -> None:
    for name in ("schedules.py", "test_schedules.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    out = run(environment, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", tmp_path)
    assert "5 passed" in out, out


def test_files(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    for number in range(20):
        (tmp_path / "folder" / "deep" / f"{number}.txt").write_text(f"{number}\n" * 1000)
    out = run(environment, "files.py", tmp_path / "folder", tmp_path / "all.zip")
    with ZipFile(tmp_path / "all.zip") as archive:
        assert len(archive.namelist()) == 20
        assert archive.read("deep/7.txt") == b"7\n" * 1000
    assert out.endswith(f"all.zip: {(tmp_path / 'all.zip').stat().st_size:,} bytes\n")
    assert "20 of     20 files" in out or "20 of 20 files" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.zip", "folder"]


@pytest.fixture
def site(environment: dict[str, str]) -> Iterator[str]:
    """The FastAPI example, served by uvicorn."""
    command = [sys.executable, "-m", "uvicorn", "fastapi_progress:api", "--port", "0", "--no-access-log"]
    server = subprocess.Popen(command, env=environment, cwd=EXAMPLES, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        for line in server.stderr:
            if "running on " in line:
                break
        else:
            pytest.fail("uvicorn did not start")
        yield line.partition("running on ")[2].split()[0]
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=30)


def test_fastapi_progress(site: str) -> None:
    with httpx.Client(base_url=site, timeout=30) as client:
        assert "<progress" in client.get("/").text
        assert client.post("/surveys/nothing").status_code == 422
        answer = client.post("/surveys/email")
        assert answer.status_code == 202
        with client.stream("GET", f"/surveys/{answer.json()['id']}/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            news = [json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line]
    *steps, last = news
    if steps and steps[0]["state"] == "PENDING":  # it was quicker than the worker
        del steps[0]
    assert last["state"] == "SUCCESS"
    assert last["result"]["functions"] > 100
    assert steps
    assert all(step["state"] == "PROGRESS" for step in steps)
    done = [step["meta"]["done"] for step in steps]
    assert done == sorted(done)
    assert {step["meta"]["total"] for step in steps} == {last["result"]["files"]}


def test_fastapi_progress_in_a_browser(site: str, tmp_path: Path) -> None:
    pytest.importorskip("selenium")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By

    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (
        *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"),
        *("disable-component-update", "disable-sync", "disable-dev-shm-usage", f"user-data-dir={tmp_path}"),
    ):
        options.add_argument(f"--{flag}")
    page = webdriver.Chrome(options=options, service=Service(driver))
    try:
        page.get(site)
        output, bar = page.find_element(By.TAG_NAME, "output"), page.find_element(By.TAG_NAME, "progress")
        assert output.text == "nothing yet"
        for button in page.find_elements(By.TAG_NAME, "button"):
            before = output.text
            button.click()
            text = eventually(lambda: output.text != before and " functions in " in output.text and output.text)  # noqa: B023
            assert int(text.split()[0]) > 10
            assert bar.get_property("value") == bar.get_property("max") == float(text.split()[-2])
    finally:
        page.quit()
