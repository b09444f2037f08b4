"""Where posting files are put: a folder of this machine here, one at an SSH server in remote_out_folder.py.

Called by usecases/post_file.py. A file is written whole under a name that nobody takes, and then renamed. What can't be
done is an OSError; a folder that can't be reached is FilesUnreachable.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

from ..errors import FilesRefused


class OutVisit(Protocol):
    """Some steps in a folder."""

    async def hash_of(self, name: str) -> str | None:
        """SHA-256 of what is there; None: nothing is."""
        ...

    async def clear(self, name: str) -> None:
        """What attempts to write this file have left."""
        ...

    async def write(self, part: str, body: bytes) -> None:
        """All of it, so that a power failure leaves it there."""
        ...

    async def rename(self, part: str, name: str) -> None:
        """Raises FileExistsError where there is such a file, FileNotFoundError where `part` has gone."""
        ...


class OutFolder(Protocol):
    """`str` of it is what people call it."""

    def visit(self) -> AbstractAsyncContextManager[OutVisit]: ...


def part_of(name: str, fence: int) -> str:
    """Where one attempt writes: no two write the same file, also not one that was paused and its successor."""
    return f"{_parts_of(name)}{fence}.part"


def _parts_of(name: str) -> str:
    return f".{name}."


def is_part_of(found: str, name: str) -> bool:
    return found.startswith(_parts_of(name)) and found.endswith(".part")


class LocalOutFolder:
    """It has to be there: one that isn't is a disk that wasn't mounted, and not ours to make."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @asynccontextmanager
    async def visit(self) -> AsyncIterator[LocalOutFolder]:
        """Raises FilesRefused."""
        if not await asyncio.to_thread(self.path.is_dir):
            raise FilesRefused(f"there is no folder {self.path}")
        yield self

    async def hash_of(self, name: str) -> str | None:
        return await asyncio.to_thread(self._hash_of, name)

    async def clear(self, name: str) -> None:
        await asyncio.to_thread(self._clear, name)

    async def write(self, part: str, body: bytes) -> None:
        await asyncio.to_thread(self._write, part, body)

    async def rename(self, part: str, name: str) -> None:
        await asyncio.to_thread(self._rename, part, name)

    # ── in a thread ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _hash_of(self, name: str) -> str | None:
        try:
            return hashlib.sha256((self.path / name).read_bytes()).hexdigest()
        except FileNotFoundError:
            return None

    def _clear(self, name: str) -> None:
        for one in os.listdir(self.path):
            if is_part_of(one, name):
                (self.path / one).unlink(missing_ok=True)

    def _write(self, part: str, body: bytes) -> None:
        with (self.path / part).open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        self._sync()

    def _rename(self, part: str, name: str) -> None:
        if (self.path / name).exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        (self.path / part).rename(self.path / name)
        self._sync()

    def _sync(self) -> None:
        """The folder's own entry; a share of another system may offer no such thing."""
        with suppress(OSError):
            number = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)
