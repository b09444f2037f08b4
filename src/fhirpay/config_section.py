"""What every section of the configuration has in common: nothing unknown in it, and values from the environment."""

from __future__ import annotations

import ipaddress
import os
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, field_validator

# How far a receiver of postings is trusted with them: compared alone, one by one with staff's word, by itself.
Stage = Literal["shadow", "assist", "auto"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _from_environment(cls, value: Any) -> Any:
        """`env:NAME` anywhere means: read it from the environment, so that secrets stay out of the file."""
        if isinstance(value, list | tuple):
            return [_read(one) for one in value]
        return _read(value)


def _read(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("env:"):
        found = os.environ.get(value[4:])
        if found is None:
            raise ValueError(f"the environment variable {value[4:]} is not set")
        return found
    return value


def known_zone(name: str) -> None:
    """Raises ValueError for what is no zone of this machine's tables."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"'{name}' is not an IANA zone; write one such as America/Chicago") from None


def in_the_clear(url: str) -> bool:
    """Whether what goes there can be read on its way: http to another machine. `localhost` is this one (RFC 6761 §6.3),
    and so is the address of nothing (0.0.0.0), to which only a program of this machine connects."""
    try:
        parts = urlsplit(url)
    except ValueError:  # such as half an IPv6 address: said where it is used
        return False
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme != "http" or not host or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True
    return not (address.is_loopback or address.is_unspecified)
