"""`[[tenants.merchants]]`: an account at a payment processor. Part of `config`.

What a processor pays out belongs to one merchant here, and each payout is in the books once. Two that are configured on
one account of it would each have all of its payouts: `check` refuses them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, model_validator

from . import config_fees
from .config_fees import AgreedFees
from .config_section import Section, in_the_clear


class Merchant(Section):
    """An account at a payment processor."""

    name: str
    processor: str = Field(description="which adapter")
    base_url: str = Field(
        default="",
        description="the processor's address, https but on this machine; empty: the one that its adapter knows",
    )
    api_version: str = Field(default="", description="the version of the processor's API; empty: the adapter's own")
    location: str = Field(default="", description="where payments are taken, for processors that ask: its id there")
    account: str = Field(
        default="", description="its name at the processor: API Login ID (authorizenet), merchant account (adyen)"
    )
    live_prefix: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9-]*$",
        description="the company's prefix of the processor's live address (Adyen); empty: the test system",
    )
    secret_key: str = Field(description="the key of our calls; use env:NAME")
    report_user: str = Field(
        default="",
        pattern=r"^[^:]*$",
        description="who may get reports of what was paid out (adyen: `report@Company.NAME`, role Merchant Report)",
    )
    report_password: str = Field(default="", description="the report user's; use env:NAME")
    report_url: str = Field(
        default="", description="where reports are, https but on this machine; empty: the processor's own address"
    )
    webhook_secrets: tuple[str, ...] = Field(
        default=(), description="live signing secrets, newest first; two while rotating"
    )
    notification_url: str = Field(
        default="",
        description="our webhook's address as registered at the processor, where it is part of what is signed",
    )
    webhook_key: Literal["text", "hex"] = Field(
        default="text",
        description="what a signing secret of authorizenet is: its text, or the bytes that its digits say",
    )
    descriptor: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9 .*&'-]{0,22}$",
        description="what a payer's statement shows: a neutral name of 22 characters at most",
    )
    timeout_s: float = Field(default=10, gt=0, description="longest wait for an answer of the processor")
    pay_by: tuple[Literal["card", "bank"], ...] = Field(
        default=("card",),
        min_length=1,
        description="what the processor's page offers a payer: card, bank (ACH), or both",
    )
    represent_after_days: tuple[Annotated[int, Field(ge=1, le=90)], ...] = Field(
        default=(),
        max_length=2,
        description="days after which a bank debit that came back for want of funds (R01, R09) is tried again",
    )
    private_network: bool = Field(default=False, description="the address may be a private or loopback one")
    fees: tuple[AgreedFees, ...] = Field(
        default=(), description="what was agreed about its fees, to compare with what it takes; none: nothing is"
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Merchant:
        """Every call carries the key with which money is moved."""
        for setting, secret in (("base_url", "secret_key"), ("report_url", "report_password")):
            if in_the_clear(getattr(self, setting)):
                says = f"merchant '{self.name}': {setting} is http, and its {secret} could be read on the way"
                raise ValueError(f"{says}: write https, or an address of this machine (127.0.0.1)")
        config_fees.check(self.name, self.fees)
        return self


def check(merchants: Iterable[Merchant]) -> None:
    """Raises ValueError for two of one name, or on one account as far as the configuration shows it: the account's own
    name, else the location, else the key. Two keys of one account show when its first payout comes in twice."""
    names: set[str] = set()
    seen: dict[tuple[str, str, str, str], str] = {}
    for one in merchants:
        if one.name in names:
            raise ValueError(f"two merchants are named '{one.name}': their payments are told apart by it")
        names.add(one.name)
        account = one.account or one.location or one.secret_key
        other = seen.setdefault((one.processor, one.base_url.rstrip("/"), one.live_prefix, account), one.name)
        if other != one.name:
            says = f"merchants '{other}' and '{one.name}' are one account at {one.processor}"
            raise ValueError(f"{says}: each would have all of its payouts; let facilities name the same merchant")
