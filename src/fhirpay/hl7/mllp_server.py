"""MLLP over TCP, listening: who may connect, how many at once, and how all of them end. Built by `wiring`.

What happens on one connection is in `mllp_connection`; a server knows frames and addresses, not HL7.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from ..log import Log
from .mllp_connection import Connection, ConnectionDrop, Handler, Later

__all__ = ["Connection", "ConnectionDrop", "Handler", "Later", "MllpServer"]

log = Log("mllp")


class MllpServer:
    """Listens at `host`:`port` (0: any free one; `port` says which after `start`).

    `too_large(first_bytes)` gives the answer to a message beyond `max_bytes`; after it the connection is closed.
    `peers`: only senders in one of these networks; none: everybody. `tls`: each connection starts with a handshake.
    """

    def __init__(
        self,
        host: str,
        port: int,
        handler: Handler,
        *,
        max_bytes: int = 10_000_000,
        idle_timeout_s: float = 600,
        max_connections: int = 200,
        too_large: Callable[[bytes], bytes | None] | None = None,
        name: str = "",
        tls: ssl.SSLContext | None = None,
        peers: Sequence[IPv4Network | IPv6Network] = (),
    ) -> None:
        self.host, self.port, self.name = host, port, name
        self.handler = handler
        self.too_large = too_large
        self.max_bytes = max_bytes
        self.idle_timeout_s = idle_timeout_s
        self.max_connections = max_connections
        self.tls = tls
        self.peers = tuple(peers)
        self.connections: set[Connection] = set()
        self.leaving: set[Connection] = set()  # have hung up and hold no slot any more
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        log.info("mllp.listening", interface=self.name, host=self.host, port=self.port)

    async def stop(self, grace_s: float = 10) -> None:
        """Stop accepting; finish each message in hand, answer it, close. What is not done in `grace_s` is cut off."""
        if self._server is None:
            return
        self._server.close()
        tasks = [task for connection in list(self.connections) if (task := connection.finish()) is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in [*self.connections, *self.leaving]:
            connection.abort()
        await self._server.wait_closed()
        self._server = None
        log.info("mllp.stopped", interface=self.name, port=self.port)

    # ------------------------------------------------------------ asked by a connection

    def refusal(self, host: str) -> str:
        """Why a new connection from there isn't taken, as a code; '' when it is."""
        if self.peers and not self._allowed(host):
            return "peer-not-allowed"
        if len(self.connections) >= self.max_connections and not self._make_room():
            return "too-many-connections"
        return ""

    def _allowed(self, host: str) -> bool:
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.peers)

    def _make_room(self) -> bool:
        """Close a connection that does nothing, so that those which do nothing never keep out one that has work."""
        spare = [connection for connection in self.connections if connection.is_spare()]
        if not spare:
            return False
        min(spare, key=Connection.standing).give_way()
        return True
