"""`fhirpay bank credit`, `uncredit` and `fee`: whose the money of a bank line is that is of no payout."""

from __future__ import annotations

from typing import Annotated

import typer

from .admin import ByOption, ReasonOption, decided
from .context import ConfigOption, TenantOption, out

LineArgument = Annotated[str, typer.Argument(help="The bank line (bnk…).")]


def credit(
    line: LineArgument,
    account: Annotated[str, typer.Option("--account", help="The patient's account: Account/ID or system|value.")],
    amount: Annotated[str, typer.Option("--amount", help="A part of it; without, all that is left of it.")] = "",
    facility: Annotated[
        str, typer.Option("--facility", help="Whose money it is, where the account is of several.")
    ] = "",
    by: ByOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Say that a receipt of nobody, or a part of it, is a patient's: it pays what is owed, the rest is credit."""
    asked = {"line": line, "account": account, "amount": amount, "facility": facility, "by": by, "reason": reason}
    found = decided(config, tenant, lambda server: server.bank(action="credit", **asked))
    out(f"{found['payment']}: {line} is credited")


def uncredit(
    payment: Annotated[str, typer.Argument(help="The payment (pay…) as which it was credited.")],
    by: ByOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Say that a receipt is not whose it was credited to: its payment is taken back whole, and it is nobody's again."""
    asked = {"payment": payment, "by": by, "reason": reason}
    found = decided(config, tenant, lambda server: server.bank(action="uncredit", **asked))
    out(f"{payment} is taken back: {found['line']} is a receipt of nobody again")


def fee(
    line: LineArgument,
    merchant: Annotated[str, typer.Option("--merchant", help="Whose processor took it, or gave it back.")],
    by: ByOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Say that a line is a fee that a processor took at the bank; `unmatch` takes it back."""
    asked = {"line": line, "merchant": merchant, "by": by, "reason": reason}
    found = decided(config, tenant, lambda server: server.bank(action="fee", **asked))
    out(f"{found['match']}: {line} is a fee of merchant '{merchant}'")
