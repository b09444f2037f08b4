"""A folder whose files are messages, and the one on this machine. Each look of usecases/take_files.py is a `Visit`.

Another kind of folder is another class with these methods (remote_folder.py: at an SSH server). What can't be done with
one file is an OSError, what is wrong with the folder as a whole a FilesUnreachable.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from shutil import copyfileobj
from typing import IO, Literal, Protocol

from ..errors import FilesRefused

FILE_MAX = 100_000_000  # bytes

Seen = tuple[int, int]  # size, and when it was changed
Where = Literal["done", "failed"]


class Visit(Protocol):
    """One look at a folder."""

    async def listed(self) -> dict[str, Seen]:
        """Its regular files, oldest first."""
        ...

    async def read(self, name: str, seen: Seen) -> bytes | None:
        """A file, but no more than one byte over FILE_MAX; None when it has gone, or isn't the one seen."""
        ...

    async def file_away(self, name: str, seen: Seen, where: Where, reply: IO[bytes]) -> bool:
        """The reply first, then the file moves; a crash in between means that it is taken again, and replied the same.

        False where the file isn't the one seen any more: it stays, and is another one to be taken.
        """
        ...

    async def remove(self, name: str) -> None:
        """A file that only says that another is complete; or it has gone."""
        ...


class Folder(Protocol):
    """`str` of it is what people call it."""

    def visit(self) -> AbstractAsyncContextManager[Visit]: ...


def reply_name(name: str) -> str:
    return f"{name}.ack"


def half_written(name: str) -> str:
    """The name of what isn't whole yet: nobody takes it."""
    return f".{name}.tmp"


def free_name(name: str) -> Generator[str, bool, str]:
    """NAME, or NAME.2, NAME.3, …: yields names to be told whether they are taken, few however many there are."""

    def numbered(number: int) -> str:
        return name if number == 1 else f"{name}.{number}"

    taken, free = 0, 1
    while (yield numbered(free)):
        taken, free = free, 2 * free
    while free - taken > 1:
        middle = (taken + free) // 2
        if (yield numbered(middle)):
            taken = middle
        else:
            free = middle
    return numbered(free)


class LocalFolder:
    """Files of this machine; `done/` and `failed/` are made beside them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @asynccontextmanager
    async def visit(self) -> AsyncIterator[LocalFolder]:
        yield self

    async def listed(self) -> dict[str, Seen]:
        return await asyncio.to_thread(self._listed)

    async def read(self, name: str, seen: Seen) -> bytes | None:
        return await asyncio.to_thread(self._read, name, seen)

    async def file_away(self, name: str, seen: Seen, where: Where, reply: IO[bytes]) -> bool:
        return await asyncio.to_thread(self._file_away, name, seen, where, reply)

    async def remove(self, name: str) -> None:
        await asyncio.to_thread((self.path / name).unlink, missing_ok=True)

    # ── in a thread ───────────────────────────────────────────────────────────────────────────────────────────────

    def _listed(self) -> dict[str, Seen]:
        found: list[tuple[int, str, int]] = []
        try:
            with os.scandir(self.path) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):
                        if entry.is_file(follow_symlinks=False):
                            stat = entry.stat(follow_symlinks=False)
                            found.append((stat.st_mtime_ns, entry.name, stat.st_size))
        except OSError as error:
            raise FilesRefused(f"the folder can't be read: {error.strerror}") from None
        return {name: (size, changed) for changed, name, size in sorted(found)}

    def _read(self, name: str, seen: Seen) -> bytes | None:
        try:
            with (self.path / name).open("rb") as file:
                data = file.read(FILE_MAX + 1)
                stat = os.fstat(file.fileno())
        except FileNotFoundError:
            return None
        return data if (stat.st_size, stat.st_mtime_ns) == seen else None

    def _free(self, folder: Path, name: str) -> str:
        asking = free_name(name)
        try:
            wanted = next(asking)
            while True:
                wanted = asking.send((folder / wanted).exists())
        except StopIteration as found:
            return found.value

    def _file_away(self, name: str, seen: Seen, where: Where, reply: IO[bytes]) -> bool:
        folder = self.path / where
        folder.mkdir(exist_ok=True)
        free = self._free(folder, name)
        half = folder / half_written(reply_name(free))
        with half.open("wb") as file:
            copyfileobj(reply, file)
            file.flush()
            os.fsync(file.fileno())
        half.replace(folder / reply_name(free))
        try:
            stat = (self.path / name).stat()
            if (stat.st_size, stat.st_mtime_ns) != seen:
                return False
            (self.path / name).rename(folder / free)
        except FileNotFoundError:
            pass  # another process has filed it away
        return True
