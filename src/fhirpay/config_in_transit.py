"""For how many days money may be on its way before somebody is told. Part of `config`."""

from __future__ import annotations

from pydantic import Field

from .config_section import Section


class InTransit(Section):
    """Days for each thing that is on its way; 0: it is never told."""

    payout_days: int = Field(
        default=10, ge=0, le=365, description="a payout that its processor doesn't say has arrived"
    )
    check_days: int = Field(default=7, ge=0, le=365, description="a check that has not been to the bank")
    deposit_days: int = Field(default=7, ge=0, le=365, description="a bag that went to a bank whose files are taken in")
    terminal_days: int = Field(default=0, ge=0, le=365, description="a card payment on the practice's own terminal")
    receipt_days: int = Field(default=30, ge=0, le=365, description="money at the bank whose owner is not known")
