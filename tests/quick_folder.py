"""Where tests put their files: in memory, where there is room for them.

The program asks for each commit to be on the disk (`synchronous=FULL`) before it answers, in tests as elsewhere, and on
a disk that takes most of their time. What a killed process leaves is the same in either place; no test cuts the power.
Called by conftest before anything has asked for a temporary folder; processes that tests start inherit it. Our
PostgreSQL stays on the disk: it waits for none (databases.py), and what a killed run leaves of it would fill memory.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ROOM = 4 << 30  # bytes; containers often have 64 MB
DISK = os.environ.get("TESTS_DISK") or tempfile.gettempdir()  # a worker's TMPDIR is the memory of who started it


def install() -> None:
    """Nothing changes where TMPDIR is set, or memory is short."""
    if "TMPDIR" not in os.environ and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ROOM:
        os.environ |= {"TMPDIR": str(_MEMORY), "TESTS_DISK": DISK}
        tempfile.tempdir = None
