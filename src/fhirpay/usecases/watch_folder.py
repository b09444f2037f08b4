"""A folder whose files are taken in: each a message, a batch or a file of batches. Run by `app` beside the listeners.

    a file that hasn't changed between two looks ─▶ each message: its own commit ─▶ done/NAME.ack ─▶ done/NAME

A file that grows, hides (`.x`) or is named as half-written (`.tmp`, `.part`, …) is left alone. It moves only after all
of it is committed and its reply stands beside it, so a crash in the middle means that it is read again: what was kept
is known by its MSH-10 and body, and has no second effect. What holds no message goes to failed/.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile
from typing import IO

from ..errors import StorageUnavailable
from ..log import Log
from .receive_batch import take_file
from .receive_hl7 import Hl7Intake

log = Log("files")

DONE, FAILED = "done", "failed"
_HALF_WRITTEN = (".tmp", ".part", ".partial", ".filepart", ".swp", ".lock")
_FILE_MAX = 100_000_000
_REPLY_IN_MEMORY = 4_000_000  # bytes; more waits in a file without a name
_Seen = tuple[int, int]  # size, and when it was changed


class WatchedFolder:
    """`run` looks every `settles_s`, until `stop`."""

    def __init__(self, intake: Hl7Intake, path: Path, *, settles_s: float = 5) -> None:
        self.path = path
        self._intake = intake
        self._settles_s = settles_s
        self._seen: dict[str, _Seen] = {}

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self.look(stop)
            except StorageUnavailable as error:
                log.warning("files.put_off", interface=self._intake.interface.name, code=error.code)
            except OSError as error:
                log.error("files.failed", interface=self._intake.interface.name, error=type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._settles_s)

    async def look(self, stop: asyncio.Event | None = None) -> list[str]:
        """Take in what is complete, oldest first, until `stop`; the names. Raises StorageUnavailable, OSError."""
        found = await asyncio.to_thread(self._listed)
        settled = [name for name, seen in found.items() if self._seen.get(name) == seen]
        self._seen = found
        taken: list[str] = []
        for name in settled:
            data = await asyncio.to_thread(self._read, name)
            if data is None:
                continue
            with SpooledTemporaryFile(_REPLY_IN_MEMORY) as reply:
                count = await take_file(self._intake, data, name=name, reply=reply.write, stop=stop or asyncio.Event())
                if count is None:
                    break
                if not count:
                    reply.write(b"there is no message in this file\n")
                await asyncio.to_thread(self._file_away, name, DONE if count else FAILED, reply)
            if count:
                log.info("files.taken", interface=self._intake.interface.name, count=count)
            else:
                log.warning("files.no_message", interface=self._intake.interface.name, size=len(data))
            self._seen.pop(name, None)
            taken.append(name)
        return taken

    # ── in a thread ───────────────────────────────────────────────────────────────────────────────────────────────

    def _listed(self) -> dict[str, _Seen]:
        found: list[tuple[int, str, int]] = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                hidden = entry.name.startswith(".") or entry.name.lower().endswith(_HALF_WRITTEN)
                with suppress(FileNotFoundError):
                    if not hidden and entry.is_file(follow_symlinks=False):
                        stat = entry.stat(follow_symlinks=False)
                        found.append((stat.st_mtime_ns, entry.name, stat.st_size))
        return {name: (size, changed) for changed, name, size in sorted(found)}

    def _read(self, name: str) -> bytes | None:
        """None when it has gone, or changes while we read: then the next look decides."""
        try:
            with (self.path / name).open("rb") as file:
                data = file.read(_FILE_MAX + 1)
                stat = os.fstat(file.fileno())
        except FileNotFoundError:
            return None
        if len(data) > _FILE_MAX:
            self._file_away(name, FAILED, BytesIO(b"the file is larger than 100,000,000 bytes\n"))
            log.error("files.too_large", interface=self._intake.interface.name, size=stat.st_size)
            return None
        return data if (stat.st_size, stat.st_mtime_ns) == self._seen.get(name) else None

    def _file_away(self, name: str, where: str, reply: IO[bytes]) -> None:
        """The reply first: a crash after it means that the file is taken again, and has the same reply."""
        folder = self.path / where
        folder.mkdir(exist_ok=True)
        free, number = name, 1
        while (folder / free).exists():
            number += 1
            free = f"{name}.{number}"
        half = folder / f".{free}.ack.tmp"
        with half.open("wb") as file:
            reply.seek(0)
            copyfileobj(reply, file)
            file.flush()
            os.fsync(file.fileno())
        half.replace(folder / f"{free}.ack")
        with suppress(FileNotFoundError):  # another process has filed it away
            (self.path / name).rename(folder / free)
