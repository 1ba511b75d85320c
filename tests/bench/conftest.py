"""The suite is a part of the repository, and not of the package: it is found from the root."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

if not (ROOT / "benchmarks").exists():
    collect_ignore_glob = ["test_*.py"]
pytest.importorskip("psutil", reason="needs the extra `bench`")
sys.path.append(str(ROOT))
