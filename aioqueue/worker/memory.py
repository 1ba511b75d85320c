"""How much memory this process takes."""

from __future__ import annotations

import os
import resource
import sys


def resident_memory() -> int:
    """Bytes that are resident now; where the system does not say, the most there have ever been."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
