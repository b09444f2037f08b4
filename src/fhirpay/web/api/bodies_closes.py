"""What clients send about day closes. Shapes as in bodies.py."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from .bodies import Amount, DecisionBody, Short, StaffBody, Words


class NewCloseBody(StaffBody):
    """Without `till` the facility as a whole; without `day` the one that waits to be closed, else today there."""

    facility: Words = Field(default="", description="may be left out where there is one", examples=["main"])
    till: Words = Field(default="", examples=["front"])
    day: date | None = Field(default=None, description="the business day", examples=["2026-11-20"])
    batch: Amount | None = Field(default=None, description="what the practice's own card terminal says that it took")
    reference: Words = Field(default="", description="the terminal's number of that batch", examples=["0173"])
    reason: Words = Field(default="", description="needed where there are open points", examples=["the bank is asked"])


class ReopenCloseBody(DecisionBody):
    """The close stays as it is, and its day can be closed once more."""

    why: Short = Field(examples=["a bag of coins was found"])
