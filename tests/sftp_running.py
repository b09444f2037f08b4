"""An SSH server in this process that nobody here wrote (asyncssh's), a folder of ours behind it, faults on order.

server.files / "in"     what is in the folder
server.orders           an operation by its number or name → what goes wrong with it, once: 'cut before', 'cut after',
                        'refuse', 'hang'
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import asyncssh

from fhirpay.config_sftp import Sftp

USER, PASSWORD = "billing", "a password"


@cache
def key(name: str) -> asyncssh.SSHKey:
    """One for each name, for the length of the run."""
    return asyncssh.generate_private_key("ssh-ed25519", comment=name)


def public(name: str) -> str:
    return key(name).export_public_key().decode().strip()


def private(name: str) -> str:
    return key(name).export_private_key().decode()


@dataclass
class Running:
    files: Path
    port: int = 0
    done: list[str] = field(default_factory=list[str])  # operations, by name
    orders: dict[int | str, str] = field(default_factory=dict[int | str, str])
    logins: list[str] = field(default_factory=list[str])
    lets_in: bool = True
    extensions: bool = True  # OpenSSH's posix-rename
    opened: list[Any] = field(default_factory=list[Any])
    before: dict[str, Any] = field(default_factory=dict[str, Any])  # operation → what happens first, once

    def settings(self, **given: Any) -> Sftp:
        own = {"host": "127.0.0.1", "port": self.port, "user": USER, "key": private("client"), "folder": "in"}
        return Sftp(**{**own, "host_keys": (public("server"),), "private_network": True, "timeout_s": 120, **given})


class _Login(asyncssh.SSHServer):
    def __init__(self, running: Running) -> None:
        self._running = running

    def begin_auth(self, username: str) -> bool:
        self._running.logins.append(username)
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return self._running.lets_in and (username, password) == (USER, PASSWORD)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key_: asyncssh.SSHKey) -> bool:
        allowed = key_.public_data == key("client").public_data
        return self._running.lets_in and username == USER and allowed


def _faulty(name: str) -> Any:
    async def step(self: Any, *given: Any) -> Any:
        running: Running = self._running
        running.done.append(name)
        if first := running.before.pop(name, None):
            first()
        order = running.orders.pop(name, "") or running.orders.pop(len(running.done), "")
        if order == "refuse":
            raise asyncssh.SFTPPermissionDenied("not here")
        if order == "hang":
            await asyncio.Event().wait()
        if order == "cut before":
            self.channel.get_connection().abort()
            raise asyncssh.SFTPFailure("gone")
        answer = getattr(asyncssh.SFTPServer, name)(self, *given)
        answer = await answer if hasattr(answer, "__await__") else answer
        if name == "open":
            running.opened.append(answer)
        if order == "cut after":
            self.channel.get_connection().abort()
        return answer

    return step


class _Files(asyncssh.SFTPServer):
    def __init__(self, channel: Any, running: Running) -> None:
        super().__init__(channel, chroot=str(running.files).encode())
        self._running = running

    open, read, write, close = _faulty("open"), _faulty("read"), _faulty("write"), _faulty("close")
    stat, mkdir, rename, remove = _faulty("stat"), _faulty("mkdir"), _faulty("rename"), _faulty("remove")
    fsync = _faulty("fsync")

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        if not self._running.extensions:
            raise asyncssh.SFTPOpUnsupported("no extensions")
        await _faulty("posix_rename")(self, oldpath, newpath)


@asynccontextmanager
async def sftp_server(folder: Path) -> AsyncIterator[Running]:
    running = Running(folder)
    (folder / "in").mkdir()
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: _Login(running),
        server_host_keys=[key("server")],
        sftp_factory=lambda channel: _Files(channel, running),
        allow_scp=False,
    )
    running.port = server.get_port()
    try:
        yield running
    finally:
        server.close()
        await server.wait_closed()
        for file in running.opened:  # it forgets those of a connection that is lost in the middle
            file.close()
