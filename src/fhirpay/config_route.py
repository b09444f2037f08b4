"""`[[tenants.routes]]`: which merchant takes a payment, by facility, kind and amount. Checked by `config.Tenant`.

Read by payments/choice.py. Routes are tried in the order of the file; the first that fits says who takes it.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Literal

from pydantic import Field, model_validator

from .config_section import Section


class Route(Section):
    """What a facility takes on a page, or has its payers store, by which merchants: the second only if the first can't
    be reached at all."""

    name: str
    facility: str = Field(default="", description="of this facility; empty: of all")
    kind: Literal["page", "stored"] = Field(
        default="page", description="payments on the processor's page, or methods that a payer stores"
    )
    currency: str = Field(default="USD", description="what `least` and `most` are in; with either, only payments in it")
    least: str = Field(default="", description="from this amount on; empty: from nothing on")
    most: str = Field(default="", description="up to this amount; empty: any")
    merchants: tuple[str, ...] = Field(
        description="who takes it; each next one only where none before was ever reached with the payment"
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Route:
        if not self.merchants or len(set(self.merchants)) < len(self.merchants):
            raise ValueError(
                f"route '{self.name}' names no merchant, or one twice: list each once, the first choice first"
            )
        limits = [_amount(one, self.name) for one in (self.least, self.most) if one]
        if len(limits) == 2 and limits[0] > limits[1]:
            raise ValueError(f"route '{self.name}' is for nothing: its least is above its most")
        if self.kind == "stored" and (len(self.merchants) > 1 or limits):
            says = (
                f"route '{self.name}': a stored method is kept by one merchant and charged there, whatever the amount"
            )
            raise ValueError(f"{says}; name one, without least and most")
        return self


def _amount(text: str, route: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"route '{route}': '{text}' is no amount; write it like 250.00")
    return amount
