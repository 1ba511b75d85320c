"""What the suite tells a peer's processes, through their environment."""

from __future__ import annotations

import os

URL = os.environ.get("BENCHMARK_URL", "redis://127.0.0.1:6379/0")
"""The server."""

HOST, PORT = URL.removeprefix("redis://").split("/")[0].rsplit(":", 1)

VARIANT = os.environ.get("BENCHMARK_VARIANT", "")
"""Which of several ways to run a peer."""

AT_ONCE = int(os.environ["BENCHMARK_AT_ONCE"]) if os.environ.get("BENCHMARK_AT_ONCE") else None
"""How many tasks are to run at once in one worker; None: whatever is best for short tasks."""

PROCESSES = int(os.environ.get("BENCHMARK_PROCESSES", "1"))
"""Of aioqueue alone: how many of them a worker has."""

BEAT = bool(os.environ.get("BENCHMARK_BEAT"))
"""Whether `tick` is scheduled for each second."""

SLEEP = float(os.environ.get("BENCHMARK_SLEEP", "0.05"))
"""For how long `sleep` sleeps."""
