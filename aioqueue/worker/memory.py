"""How much memory this process has."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path


def resident_memory() -> int:
    """Bytes that are resident now; where the system does not say, the most there have ever been."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
