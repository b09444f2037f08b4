"""Our way out by SFTP, and the only import of asyncssh: an optional part of the installation (`fhirpay[sftp]`).

`SftpServer` is checked when it is made, so that a key that can't be read is told at start; `connect` gives a session.
A server is known by the keys of the configuration alone: none is learned, and neither ~/.ssh nor an agent counts.
Every step has a time limit. What goes wrong with the server is FilesUnreachable, or FilesRefused where it passes only
when a person changes something; what goes wrong with one file is an OSError, as for a file of this machine.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

import asyncssh

from ..config_sftp import SftpAccount
from ..errors import ConfigInvalid, FhirpayError, FilesRefused, FilesUnreachable
from .guard import check_host

T = TypeVar("T")

_REGULAR = 1  # SSH_FILEXFER_TYPE_REGULAR (draft-ietf-secsh-filexfer-13 §7.2); asyncssh knows it by the mode in v3
_PIECE = 256 * 1024  # bytes that are asked for, or sent, within one time limit
_OF_A_FILE: dict[type[asyncssh.SFTPError], int] = {
    asyncssh.SFTPNoSuchFile: errno.ENOENT,
    asyncssh.SFTPNoSuchPath: errno.ENOENT,
    asyncssh.SFTPPermissionDenied: errno.EACCES,
    asyncssh.SFTPWriteProtect: errno.EACCES,
    asyncssh.SFTPFileAlreadyExists: errno.EEXIST,
    asyncssh.SFTPNoSpaceOnFilesystem: errno.ENOSPC,
    asyncssh.SFTPQuotaExceeded: errno.EDQUOT,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A regular file: its size, and when it was changed, in seconds."""

    name: str
    size: int
    changed: int


class SftpServer:
    """One account at one server. Raises ConfigInvalid for keys that can't be used."""

    def __init__(self, name: str, settings: SftpAccount) -> None:
        self.settings = settings
        self._known = [_public(name, text) for text in settings.host_keys]
        self._keys = [_private(name, settings)] if settings.key else []

    def __str__(self) -> str:
        return f"{self.settings.user}@{self.settings.host}:{self.settings.port}"

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[SftpSession]:
        """Raises FilesUnreachable, FilesRefused."""
        settings = self.settings
        with _told(self):
            await check_host(settings.host, settings.port, allow_private=settings.private_network)
            connection = await asyncssh.connect(
                settings.host,
                settings.port,
                username=settings.user,
                password=settings.password or None,
                client_keys=self._keys or None,
                known_hosts=(self._known, [], []),
                x509_trusted_certs=None,
                agent_path=None,
                config=None,
                gss_host=None,
                preferred_auth="publickey,password,keyboard-interactive",
                connect_timeout=settings.timeout_s,
                login_timeout=settings.timeout_s,
                encoding=None,
            )
        try:
            with _told(self):
                async with asyncio.timeout(settings.timeout_s):
                    client = await connection.start_sftp_client(path_encoding="utf-8", path_errors="surrogateescape")
            yield SftpSession(self, client)
        finally:
            connection.close()
            try:
                async with asyncio.timeout(1):
                    await connection.wait_closed()
            except (OSError, asyncssh.Error, TimeoutError):
                connection.abort()


class SftpSession:
    """Steps on files at the server. Paths are as the server knows them."""

    def __init__(self, server: SftpServer, client: asyncssh.SFTPClient) -> None:
        self._server, self._client = server, client

    async def files(self, folder: str) -> list[Entry]:
        """The regular files of a folder. Raises FilesRefused when it can't be read."""
        try:
            listed = await self._step(self._client.readdir(folder))
        except OSError as error:
            raise FilesRefused(f"{self._server}: {folder} can't be read: {error.strerror}") from None
        found: list[Entry] = []
        for one in listed:
            attrs, name = one.attrs, str(one.filename)
            if attrs.type == _REGULAR and "/" not in name:
                found.append(Entry(name, attrs.size or 0, int(attrs.mtime or 0)))
        return found

    async def stat(self, path: str) -> Entry | None:
        """The file as it is now; None: there is none."""
        try:
            attrs = await self._step(self._client.stat(path))
        except FileNotFoundError:
            return None
        return Entry(path, attrs.size or 0, int(attrs.mtime or 0))

    async def read(self, path: str, most: int) -> bytes:
        """As many bytes as there are, but no more than `most`. Raises OSError."""
        pieces: list[bytes] = []
        got = 0
        file = await self._step(self._client.open(path, "rb"))
        try:
            while got < most and (piece := await self._step(file.read(min(_PIECE, most - got), got))):
                pieces.append(bytes(piece))
                got += len(piece)
        finally:
            await self._close(file)
        return b"".join(pieces)

    async def write(self, path: str, data: IO[bytes]) -> None:
        """The whole of it, in place of what is there. Raises OSError."""
        file = await self._step(self._client.open(path, "wb"))
        try:
            at = 0
            while piece := data.read(_PIECE):
                await self._step(file.write(piece, at))
                at += len(piece)
            with suppress(OSError):  # an extension of OpenSSH's: elsewhere the server's word has to do
                await self._step(file.fsync())
        finally:
            await self._close(file)

    async def replace(self, old: str, new: str) -> None:
        """Rename, over what is there. Raises OSError."""
        try:
            await self._step(self._client.posix_rename(old, new))
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            with suppress(FileNotFoundError):
                await self.remove(new)
            await self.rename(old, new)

    async def rename(self, old: str, new: str) -> None:
        """Raises OSError, also where `new` is there."""
        await self._step(self._client.rename(old, new))

    async def remove(self, path: str) -> None:
        await self._step(self._client.remove(path))

    async def make_folder(self, path: str) -> None:
        """Unless it is there. Raises OSError."""
        if not await self._step(self._client.isdir(path)):
            await self._step(self._client.mkdir(path))

    async def _close(self, file: asyncssh.SFTPClientFile) -> None:
        with suppress(OSError, FilesUnreachable):
            await self._step(file.close())

    async def _step(self, step: Awaitable[T]) -> T:
        with _told(self._server):
            async with asyncio.timeout(self._server.settings.timeout_s):
                return await step


@contextmanager
def _told(server: SftpServer) -> Iterator[None]:
    """asyncssh's errors and the system's as ours, in words for who has to act."""
    try:
        yield
    except FilesUnreachable:
        raise
    except ConfigInvalid as error:  # where we may not go
        raise FilesRefused(f"{server}: {error.message}") from None
    except FhirpayError as error:  # the name has no address
        raise FilesUnreachable(f"{server}: {error.message}") from None
    except asyncssh.HostKeyNotVerifiable:
        says = "its key is none of host_keys: it was replaced, or this is another server; ask its owner"
        raise FilesRefused(f"{server}: {says}") from None
    except asyncssh.KeyExchangeFailed:
        says = "it has no key of a kind that host_keys names, or nothing else in common with us"
        raise FilesRefused(f"{server}: {says}") from None
    except asyncssh.ChannelOpenError:
        raise FilesRefused(f"{server} lets us in, and offers that user no SFTP") from None
    except asyncssh.PermissionDenied:
        raise FilesRefused(f"{server} doesn't let us in: the password or key isn't one of that user's") from None
    except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection) as error:
        raise FilesUnreachable(f"{server}: the connection was lost") from error
    except asyncssh.SFTPOpUnsupported as error:
        raise OSError(errno.EOPNOTSUPP, "the server has no such operation") from error
    except asyncssh.SFTPError as error:
        number = _OF_A_FILE.get(type(error), errno.EIO)
        says = os.strerror(number) if number != errno.EIO else f"the server refuses it ({type(error).__name__})"
        raise OSError(number, says) from error
    except (asyncssh.Error, TimeoutError, OSError) as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
        raise FilesUnreachable(f"{server} can't be reached: {why}") from error


def _public(name: str, text: str) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_public_key(text)
    except (asyncssh.KeyImportError, ValueError):
        says = f"'{name}': a line of sftp.host_keys is no public key"
        raise ConfigInvalid(f"{says}; write it as in 'ssh-ed25519 AAAA…', without the host's name") from None


def _private(name: str, settings: SftpAccount) -> asyncssh.SSHKey:
    try:
        text = settings.key if "PRIVATE KEY" in settings.key else Path(settings.key).read_text(encoding="ascii")
        return asyncssh.import_private_key(text, settings.key_passphrase or None)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no private key, or key_passphrase isn't its own"
        raise ConfigInvalid(f"'{name}': sftp.key can't be used: {why}") from None
