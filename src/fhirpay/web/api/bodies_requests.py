"""What clients send about payment requests. Shapes as in bodies.py."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from .bodies import Body, Hosted, MethodChoice, Short, SpreadBody


class NewRequestBody(SpreadBody):
    """Without `amount`: all that may be asked for now. Without `method`: on the processor's page."""

    facility: Short | None = Field(default=None, description="of what is owed to this one alone", examples=["main"])
    expires_at: AwareDatetime = Field(description="nothing is taken for it from then on; a year ahead at most")
    method: MethodChoice = MethodChoice(hosted=Hosted())


class NewTryBody(Body):
    """The next payment, for what is left. Without `method`: on the processor's page."""

    method: MethodChoice = MethodChoice(hosted=Hosted())


class CancelRequestBody(Body):
    reason: Short = Field(examples=["agreed to pay at the desk"])
