"""What every section of the configuration has in common: nothing unknown in it, and values from the environment."""

from __future__ import annotations

import os
from typing import Any, Literal
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
