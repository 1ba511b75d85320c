"""The logger of aioqueue itself. Programs decide what becomes of it; the `aioqueue` command sets it up."""

from __future__ import annotations

import logging

logger = logging.getLogger("aioqueue")
