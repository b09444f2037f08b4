"""What clients send about their webhook endpoints. Shapes as in bodies.py."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field, model_validator

from .bodies import Body, Words
from .paging import CURSOR_MAX

_URL = "https://ehr.example.org/fhirpay"


class NewEndpointBody(Body):
    url: str = Field(max_length=2000, description="https; by http this machine alone", examples=[_URL])
    events: tuple[str, ...] = Field(
        default=(), max_length=100, description="what it is told; empty: everything", examples=[["payment.captured"]]
    )


class EndpointBody(NewEndpointBody):
    state: Literal["active", "disabled"] = "active"


class RotateBody(Body):
    overlap_h: int = Field(
        default=24, ge=0, le=168, description="hours for which the secret before signs too; 0 where it has leaked"
    )


class ReplayEventsBody(Body):
    """Either one event, or all that happened from `since` on (and before `until`), oldest first."""

    event: Words = Field(default="", examples=["evt01k2m3n4p5q6r7s8t9v0w1x2y3"])
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    cursor: str = Field(default="", max_length=CURSOR_MAX, description="`next_cursor` of the call before")

    @model_validator(mode="after")
    def _which(self) -> ReplayEventsBody:
        if bool(self.event) == (self.since is not None):
            raise ValueError("say which events: either one, or since when")
        return self


class SkipBody(Body):
    """Nothing to say: the event is skipped."""
