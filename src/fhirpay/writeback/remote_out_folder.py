"""A folder at somebody else's SSH server that posting files are put into. Made by `wiring`, where there is asyncssh."""

from __future__ import annotations

import hashlib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from posixpath import join

from ..net.sftp import SftpServer, SftpSession
from .out_folder import is_part_of

_MOST = 1_000_000_000  # bytes: of a file that is there, which may be anybody's


class RemoteOutFolder:
    """An account at a server; each visit is a connection of its own."""

    def __init__(self, server: SftpServer) -> None:
        self._server = server

    def __str__(self) -> str:
        return f"{self._server}/{self._server.settings.folder.lstrip('/')}"

    @asynccontextmanager
    async def visit(self) -> AsyncIterator[RemoteOutVisit]:
        """Raises FilesUnreachable, FilesRefused."""
        async with self._server.connect() as session:
            yield RemoteOutVisit(self._server.settings.folder, session)


class RemoteOutVisit:
    def __init__(self, folder: str, session: SftpSession) -> None:
        self._folder, self._session = folder, session

    async def hash_of(self, name: str) -> str | None:
        try:
            return hashlib.sha256(await self._session.read(self._path(name), _MOST)).hexdigest()
        except FileNotFoundError:
            return None

    async def clear(self, name: str) -> None:
        for one in await self._session.files(self._folder):
            if is_part_of(one.name, name):
                with suppress(FileNotFoundError):
                    await self._session.remove(self._path(one.name))

    async def write(self, part: str, body: bytes) -> None:
        await self._session.write(self._path(part), io.BytesIO(body))

    async def rename(self, part: str, name: str) -> None:
        # The plain one of SFTP: it goes over nothing that is there.
        await self._session.rename(self._path(part), self._path(name))

    def _path(self, name: str) -> str:
        return join(self._folder, name)
