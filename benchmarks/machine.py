"""What it was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil

from aioqueue.embedded import find_server_binary


def machine() -> dict[str, str]:
    """In words: processor, memory, system, Python, server, load. No names of machines or people."""
    binary = find_server_binary()
    priority = os.getpriority(os.PRIO_PROCESS, 0)
    return {
        "processor": f"{_processor()}, {psutil.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}, {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "server": f"{binary.program} {binary.version}, AOF everysec",
        "load before": f"{os.getloadavg()[0]:.1f}",
        **({"priority": f"nice {priority}"} if priority else {}),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
