"""How much memory a process has."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path


def resident_memory(pid: int | None = None) -> int:
    """Bytes that are resident now; where the system does not say, the most there have ever been.

    Args:
        pid: of another process; 0 is returned if it is gone, or if the system does not say.
    """
    try:
        pages = Path(f"/proc/{pid or 'self'}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        if pid is not None:
            return 0
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
