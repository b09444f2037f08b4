"""The MLLP ends of interfaces and destinations, from what their profiles say. Part of `wiring`, which starts them.

What a listener answers is the use cases' (receive_hl7, receive_batch); here stands in which frames it goes out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from .config import Interface
from .config_destination import Destination
from .errors import StorageUnavailable
from .hl7.batch import is_batch
from .hl7.framing import COMMITTED, NOT_COMMITTED
from .hl7.mllp import MllpClient
from .hl7.mllp_server import ConnectionDrop, Later, MllpServer
from .hl7.tls import client_context, server_context
from .net.guard import check_host
from .usecases import send_ack
from .usecases.receive_batch import reply_to, take_batch
from .usecases.receive_hl7 import Hl7Intake


def engine(to: Destination) -> MllpClient:
    """Posts payments to a destination; one connection, kept open as its profile says."""

    async def admit() -> None:
        await check_host(to.host, to.port, allow_private=to.private_network)

    return MllpClient(
        to.host,
        to.port,
        timeout_s=to.timeout_s,
        connect_timeout_s=min(5.0, to.timeout_s),
        keep_open_s=to.keep_open_s,
        tls=client_context(ca=to.tls_ca, cert=to.tls_cert, key=to.tls_key) if to.tls else None,
        tls_name=to.tls_name,
        admit=admit,
    )


def ack_client(interface: Interface) -> MllpClient:
    """Takes application ACKs of enhanced mode to the sender's return address."""
    host, _, port = interface.ack_address.rpartition(":")
    tls = None
    if interface.ack_tls_ca:
        tls = client_context(ca=interface.ack_tls_ca, cert=interface.tls_cert, key=interface.tls_key)
    return MllpClient(host.strip("[]"), int(port), timeout_s=send_ack.TIMEOUT_S, tls=tls)


def listener(intake: Hl7Intake, interface: Interface) -> MllpServer:
    """Not yet listening. With MLLP release 2 a commit block goes before each answer."""
    commits = interface.mllp_release == 2

    async def handle(frame: bytes, peer: str) -> AsyncIterator[bytes | Later]:
        if commits and frame in (COMMITTED, NOT_COMMITTED):
            return  # of an answer of ours
        try:
            if is_batch(frame):
                taken = await take_batch(intake, frame)
                if commits:
                    yield NOT_COMMITTED if taken.refused else COMMITTED
                yield reply_to(intake, taken)
                return
            received = await intake.receive(frame, source="mllp")
        except StorageUnavailable:
            if not commits:
                raise ConnectionDrop("nothing could be stored", code=StorageUnavailable.code) from None
            yield NOT_COMMITTED
            return
        if commits:
            yield COMMITTED if received.stored else NOT_COMMITTED
        if received.answer:
            yield received.answer
        if received.later is not None:
            yield received.later

    tls = None
    if interface.tls_cert:
        tls = server_context(
            interface.tls_cert,
            interface.tls_key,
            client_ca=interface.tls_client_ca,
            client_required=interface.tls_client_cert == "required",
        )
    return MllpServer(
        interface.mllp_host,
        interface.mllp_port or 0,
        handle,
        max_bytes=interface.max_bytes,
        idle_timeout_s=interface.idle_timeout_s,
        max_connections=interface.max_connections,
        too_large=(lambda head: NOT_COMMITTED) if commits else intake.too_large,
        name=interface.name,
        tls=tls,
        peers=interface.networks,
    )
