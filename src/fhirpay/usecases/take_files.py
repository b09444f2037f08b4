"""A folder's files are taken in: each a message, a batch or a file of batches. Run by `app` beside the listeners.

    a file that hasn't changed between two looks ─▶ each message: its own commit ─▶ done/NAME.ack ─▶ done/NAME

Where the files are, on this machine or at an SSH server, is the folder's affair (inbox/folder.py). A file that grows,
hides (`.x`), is named as half-written (`.tmp`, `.part`, …) or lacks the marker that its sender writes behind it is left
alone. It moves only after all of it is committed and its reply stands, so a crash or a lost connection in the middle
means that it is read again: what was kept is known by its MSH-10 and body, and has no second effect. What holds no
message goes to failed/. A folder that can't be reached, and a file that can't be moved, are on the worklist.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from fnmatch import fnmatchcase
from tempfile import SpooledTemporaryFile

from ..billing import worklist
from ..db.types import legible
from ..db.unit import Tx
from ..errors import FilesRefused, FilesUnreachable, StorageUnavailable
from ..flow.backoff import Backoff
from ..inbox.folder import FILE_MAX, Folder, Seen, Visit
from ..log import Log
from .receive_batch import take_file
from .receive_hl7 import Hl7Intake

log = Log("files")

UNREACHABLE, STUCK = "files_unreachable", "file_stuck"  # on the worklist
_HALF_WRITTEN = (".tmp", ".part", ".partial", ".filepart", ".swp", ".lock")
_REPLY_IN_MEMORY = 4_000_000  # bytes; more waits in a file without a name
_PATIENCE = 3  # looks in a row that may fail before anybody is told: a server that starts anew is no news


class FileFeed:
    """`run` looks every `every_s`, and every `settles_s` while a file isn't complete, until `stop`."""

    def __init__(
        self,
        intake: Hl7Intake,
        folder: Folder,
        *,
        settles_s: float = 5,
        every_s: float | None = None,
        pattern: str = "*",
        marker: str = "",
        backoff: Backoff = Backoff(base=timedelta(seconds=10), cap=timedelta(minutes=10)),
    ) -> None:
        self._intake, self._folder = intake, folder
        self._name = intake.interface.name
        self._settles_s, self._every_s = settles_s, settles_s if every_s is None else every_s
        self._pattern, self._marker = pattern, marker
        self._backoff = backoff
        self._seen: dict[str, Seen] = {}
        self._stuck: dict[str, tuple[Seen, int, float]] = {}  # as it was, how often it was tried, when it may be again
        self._failed = 0  # looks in a row
        self._told: bool | None = None  # whether the worklist says that the folder can't be reached; None: not known

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            wait = self._every_s
            try:
                await self.look(stop)
                if self._seen.keys() - self._stuck.keys():
                    wait = self._settles_s
            except StorageUnavailable as error:
                log.warning("files.put_off", interface=self._name, code=error.code)
            except FilesUnreachable:
                wait = max(wait, self._backoff.delay(self._failed, f"{self._name}:{self._folder}").total_seconds())
            except Exception as error:  # a folder that nobody looks at any more would go unnoticed
                log.error("files.failed", exc=True, interface=self._name, error=type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait)

    async def look(self, stop: asyncio.Event | None = None) -> list[str]:
        """Take in what is complete, oldest first; the names. Raises StorageUnavailable, FilesUnreachable."""
        taken: list[str] = []
        try:
            async with self._folder.visit() as visit:
                found = self._chosen(await visit.listed())
                settled = [name for name, seen in found.items() if self._seen.get(name) == seen]
                self._seen = found
                for name in self._stuck.keys() - found.keys():  # somebody has moved it
                    await self._moved(name)
                for name in settled:
                    if await self._try(visit, name, stop or asyncio.Event()):
                        taken.append(name)
        except FilesUnreachable as error:
            await self._unreachable(error)
            raise
        self._failed = 0
        if self._told is not False:
            await self._intake.units.write(worklist.settled, UNREACHABLE, self._subject)
            self._told = False
        return taken

    def _chosen(self, found: dict[str, Seen]) -> dict[str, Seen]:
        def is_meant(name: str) -> bool:
            if name.startswith(".") or name.lower().endswith(_HALF_WRITTEN) or not fnmatchcase(name, self._pattern):
                return False
            return not self._marker or (not name.endswith(self._marker) and name + self._marker in found)

        return {name: seen for name, seen in found.items() if is_meant(name)}

    async def _try(self, visit: Visit, name: str, stop: asyncio.Event) -> bool:
        """One file; what can't be done with it, and holds up no other, is tried again later."""
        now = asyncio.get_running_loop().time()
        before, attempt, due = self._stuck.get(name, (None, 0, now))
        if stop.is_set() or (before == self._seen[name] and now < due):
            return False
        try:
            taken = await self._take(visit, name, stop)
        except OSError as error:
            again = self._backoff.ceiling(attempt + 1).total_seconds()
            self._stuck[name] = (self._seen[name], attempt + 1, now + again)
            log.error("files.stuck", interface=self._name, error=type(error).__name__, attempt=attempt + 1)
            says = f"a file of {self._subject}, {legible(name)}, stays where it is: {error.strerror or 'it failed'}"
            await self._intake.units.write(_open, STUCK, self._file(name), f"{says}; it is tried again until it moves")
            return False
        if taken:
            await self._moved(name)
        return taken

    async def _take(self, visit: Visit, name: str, stop: asyncio.Event) -> bool:
        """Raises OSError for what the folder can't do with this file."""
        seen = self._seen[name]
        data = await visit.read(name, seen)
        if data is None:  # it has gone, or changes while we read: what has its name is another file
            del self._seen[name]
            return False
        with SpooledTemporaryFile(_REPLY_IN_MEMORY) as reply:
            count: int | None = 0
            if len(data) > FILE_MAX:
                reply.write(b"the file is larger than %d bytes\n" % FILE_MAX)
                log.error("files.too_large", interface=self._name, size=seen[0])
            elif count := await take_file(self._intake, data, name=legible(name), reply=reply.write, stop=stop):
                log.info("files.taken", interface=self._name, count=count)
            elif count is None:
                return False
            else:
                reply.write(b"there is no message in this file\n")
                log.warning("files.no_message", interface=self._name, size=len(data))
            reply.seek(0)
            moved = await visit.file_away(name, seen, "done" if count else "failed", reply)
        del self._seen[name]  # whatever has this name from now on is another file
        if moved and self._marker:
            await visit.remove(name + self._marker)
        return moved

    async def _moved(self, name: str) -> None:
        self._stuck.pop(name, None)
        await self._intake.units.write(worklist.settled, STUCK, self._file(name))

    async def _unreachable(self, error: FilesUnreachable) -> None:
        self._failed += 1
        log.warning("files.unreachable", interface=self._name, code=error.code, attempt=self._failed)
        if self._failed >= _PATIENCE or isinstance(error, FilesRefused):
            says = f"files of {self._subject} can't be taken in, and wait there: {error.message}"
            await self._intake.units.write(_open, UNREACHABLE, self._subject, legible(says))
            self._told = True

    @property
    def _subject(self) -> str:
        return f"{self._name}: {self._folder}"

    def _file(self, name: str) -> str:
        return legible(f"{self._subject}/{name}")


def _open(tx: Tx, kind: str, subject: str, says: str) -> None:
    worklist.open_item(tx, kind=kind, subject=subject, says=says)
