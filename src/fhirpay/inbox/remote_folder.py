"""A folder at somebody else's SSH server, as `folder.py` describes one. Made by `wiring`, where asyncssh is installed.

Each look is a connection of its own. One that is lost, at any step, leaves nothing half done that matters: a file is
where it was until its messages are stored and its reply is written, and only names that nobody takes are half-written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from posixpath import join
from typing import IO

from ..config_sftp import Sftp
from ..net.sftp import Entry, SftpServer, SftpSession
from .folder import FILE_MAX, Seen, Where, free_name, half_written, reply_name


class RemoteFolder:
    """The account at a server, and where its files are and go (config_sftp.py)."""

    def __init__(self, server: SftpServer, settings: Sftp) -> None:
        self._server, self._settings = server, settings

    def __str__(self) -> str:
        return f"{self._server}/{self._settings.folder.lstrip('/')}"

    @asynccontextmanager
    async def visit(self) -> AsyncIterator[RemoteVisit]:
        """Raises FilesUnreachable, FilesRefused."""
        async with self._server.connect() as session:
            yield RemoteVisit(self._settings, session)


class RemoteVisit:
    def __init__(self, settings: Sftp, session: SftpSession) -> None:
        self._settings, self._session = settings, session

    async def listed(self) -> dict[str, Seen]:
        found = await self._session.files(self._settings.folder)
        return {one.name: _seen(one) for one in sorted(found, key=lambda one: (one.changed, one.name))}

    async def read(self, name: str, seen: Seen) -> bytes | None:
        with suppress(FileNotFoundError):
            data = await self._session.read(self._path(name), FILE_MAX + 1)
            # Also what the server has cut short.
            if min(seen[0], FILE_MAX + 1) == len(data) and await self._is_still(name, seen):
                return data
        return None

    async def file_away(self, name: str, seen: Seen, where: Where, reply: IO[bytes]) -> bool:
        folder = self._path(self._settings.done if where == "done" else self._settings.failed)
        out = self._path(self._settings.out) if self._settings.out else folder
        for one in {folder, out}:
            await self._session.make_folder(one)
        free = await self._free(folder, name)
        half = join(out, half_written(reply_name(free)))
        await self._session.write(half, reply)
        await self._session.replace(half, join(out, reply_name(free)))
        if not await self._is_still(name, seen):
            return False
        with suppress(FileNotFoundError):  # another process has filed it away
            await self._session.rename(self._path(name), join(folder, free))
        return True

    async def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            await self._session.remove(self._path(name))

    async def _free(self, folder: str, name: str) -> str:
        asking = free_name(name)
        try:
            wanted = next(asking)
            while True:
                wanted = asking.send(await self._session.stat(join(folder, wanted)) is not None)
        except StopIteration as found:
            return found.value

    async def _is_still(self, name: str, seen: Seen) -> bool:
        """Whether it is the file that was seen. One that has gone is no other."""
        now = await self._session.stat(self._path(name))
        return now is None or _seen(now) == seen

    def _path(self, name: str) -> str:
        return join(self._settings.folder, name)


def _seen(entry: Entry) -> Seen:
    return entry.size, entry.changed
