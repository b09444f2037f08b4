"""Where a client of ours may not go (SSRF). Called by http.py for every destination, by name and by address.

Destinations are configuration, or named by an EHR (its token endpoint). Either can be wrong, and a cloud machine's
metadata address hands out credentials to whoever asks. Link-local and unspecified addresses are always refused;
private and loopback ones, where many hospitals' EHRs live, only with `allow_private`. To refuse a new range: a line in
`_reason`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from ..errors import ConfigInvalid
from .errors import NeverSent

_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_METADATA_ADDRESSES = frozenset(
    ipaddress.ip_address(text) for text in ("169.254.169.254", "100.100.100.200", "fd00:ec2::254", "168.63.129.16")
)
_PREFIXES = frozenset(int(ipaddress.ip_address(text)) >> 32 for text in ("::", "64:ff9b::"))
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def check_url(url: str, *, allow_private: bool = False) -> tuple[str, int]:
    """Host and port of a destination we may call. Raises ConfigInvalid, saying what is wrong with it."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ConfigInvalid(f"a destination is an http or https address, not '{parts.scheme or 'nothing'}'")
    host = (parts.hostname or "").rstrip(".").lower()
    if not host:
        raise ConfigInvalid("a destination needs a host name")
    if parts.username or parts.password:
        raise ConfigInvalid(f"the address of {host} carries a password; give it as a header instead")
    if host in _METADATA_NAMES:
        raise ConfigInvalid(f"{host} is a metadata service of a cloud, never a destination")
    if not allow_private and (host == "localhost" or host.endswith(".localhost")):
        raise ConfigInvalid(f"{host} is this machine; allow private destinations to call it")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        pass  # a name: its addresses are checked before the first call
    else:
        check_address(address, allow_private=allow_private)
    return host, parts.port or (443 if parts.scheme == "https" else 80)


def check_address(address: _Address, *, allow_private: bool) -> None:
    """Raises ConfigInvalid when this address is none that we may call."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    for one in (address, _within(address)):
        if one is not None and (reason := _reason(one, allow_private)):
            raise ConfigInvalid(f"{one} is {reason}")


def _within(address: _Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a network may turn an IPv6 address into (RFC 4291 §2.5.5, RFC 3056, RFC 6052)."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if int(address) >> 32 in _PREFIXES and int(address) > 1:  # ::1 is itself
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour


def _reason(address: _Address, allow_private: bool) -> str:
    if address in _METADATA_ADDRESSES:
        return "a metadata service of a cloud, never a destination"
    if (
        address.is_link_local
        or address.is_unspecified
        or address.is_multicast
        or address == ipaddress.ip_address("255.255.255.255")
    ):
        return "link-local, unspecified, broadcast or multicast, never a destination"
    if not allow_private and not address.is_global:
        return "private or this machine; allow private destinations to call it"
    return ""


async def check_host(host: str, port: int, *, allow_private: bool, timeout_s: float = 5) -> None:
    """Check every address that a name resolves to. Raises ConfigInvalid, or NeverSent when the name has none.

    It may resolve differently a moment later: `check_peer` looks at what was connected to.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        raise NeverSent(f"the name {host} could not be resolved") from None
    for *_, sockaddr in found:
        check_peer(sockaddr, allow_private=allow_private)


def check_peer(sockaddr: Sequence[object], *, allow_private: bool) -> None:
    """The same for the one address of a socket. Raises ConfigInvalid."""
    check_address(ipaddress.ip_address(str(sockaddr[0]).split("%")[0]), allow_private=allow_private)
