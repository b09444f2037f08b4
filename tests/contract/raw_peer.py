"""A peer on a raw socket that does to a connection what it is told, and keeps every byte it could read.

What a call's end is worth is judged by these bytes, not by what the library says of it. Each connection runs its script
on a thread; `over` is set when the test has its answer, so a peer that hangs doesn't outlive it.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"
PATIENCE_S = 30


@dataclass
class Conn:
    """One connection. `got` is what the program behind the socket has read: of TLS, only what was inside."""

    sock: socket.socket
    peer: Peer
    tls: ssl.SSLContext | None
    got: bytearray = field(default_factory=bytearray)
    open: bool = False  # whatever is written to it now may be read: accepted and, with TLS, through the handshake

    def handshake(self) -> None:
        assert self.tls is not None
        self.sock = self.tls.wrap_socket(self.sock, server_side=True)
        self.open = True

    def read(self, most: int = 65536) -> bytes:
        """Up to `most` bytes; empty at the end."""
        part = self.sock.recv(most)
        self.got += part
        return part

    def head(self) -> None:
        while b"\r\n\r\n" not in self.got and self.read(1):
            pass

    def request(self) -> None:
        """The head, and as much of a body as it announces."""
        self.head()
        head = bytes(self.got).partition(b"\r\n\r\n")[0]
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(self.got) < len(head) + 4 + length and self.read():
            pass

    def rest(self) -> None:
        """All that still comes."""
        while self.read():
            pass

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def close(self) -> None:
        self.open = self.open and bool(self.got)  # what comes now is thrown away by the kernel
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def hang(self) -> None:
        self.peer.over.wait(PATIENCE_S)


Script = Callable[[Conn], None]


class Peer:
    """Listens until closed; `conns` are all that came, in order.

    `secure`: the other side expects TLS, so a connection is open only after its handshake. `late`: nothing is accepted
    before `over`.
    """

    def __init__(
        self,
        script: Script,
        *,
        tls: ssl.SSLContext | None = None,
        secure: bool = False,
        late: bool = False,
        backlog: int = 50,
    ) -> None:
        self.over = threading.Event()
        self.conns: list[Conn] = []
        self._script = script
        self._tls = tls
        self._secure = secure
        self._late = late
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server((HOST, 0), backlog=backlog)
        self._listening.settimeout(0.05)
        self.port: int = self._listening.getsockname()[1]
        self._accepting = self._start(self._accept)

    def _start(self, target: Callable[..., None], *args: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, daemon=True)
        thread.start()
        return thread

    def _accept(self) -> None:
        if self._late:
            self.over.wait(PATIENCE_S)
        while True:
            try:
                sock, _ = self._listening.accept()
            except TimeoutError:
                if self.over.is_set():  # and nobody is left who had come before
                    return
                continue
            sock.settimeout(PATIENCE_S)
            conn = Conn(sock, self, self._tls, open=not self._secure)
            self.conns.append(conn)
            self._threads.append(self._start(self._serve, conn))

    def _serve(self, conn: Conn) -> None:
        with suppress(OSError):
            self._script(conn)
            conn.sock.settimeout(0.05)
            conn.rest()  # what the script leaves unread has arrived here all the same
        conn.sock.close()

    @property
    def got(self) -> bytes:
        return b"".join(bytes(conn.got) for conn in self.conns)

    def close(self) -> None:
        """Returns when everything that came has been read to its end."""
        self.over.set()
        self._accepting.join(PATIENCE_S)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        self._listening.close()


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for a host name or address, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / f"{name}.crt", folder / f"{name}.key"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert, private
