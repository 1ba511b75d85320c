"""`python -m aioqueue` is the `aioqueue` command."""

from __future__ import annotations

import sys

from aioqueue.cli import main

if __name__ == "__main__":
    sys.exit(main())
