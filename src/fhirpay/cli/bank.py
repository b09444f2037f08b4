"""`fhirpay bank …`: the bank's files, what their lines were found to be, and what a person says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..bank import store
from ..bank.store import BankLine
from .admin import ByOption, ReasonOption, decided
from .context import (
    ConfigOption,
    JsonOption,
    TenantOption,
    content_of,
    friendly,
    out,
    reading,
    run,
    settings,
    tenant_name,
)

bank = typer.Typer(
    help="The practice's bank: take in its files, list lines, say which payouts and bags they are.",
    no_args_is_help=True,
)
AccountOption = Annotated[str, typer.Option("--account", help="The bank account, as in the configuration.")]


@bank.command("take")
def take_file(
    file: Annotated[Path, typer.Argument(help="A statement as the bank gives it: CSV, BAI2 or CAMT.053.")],
    account: AccountOption,
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Take in a file: its lines, each once however often they come, and match them with payouts and bags."""
    with friendly():
        data = content_of(file)
    out(decided(config, tenant, lambda server: server.take_bank_file(account=account, name=file.name, data=data)))


@bank.command("lines")
def list_lines(
    account: AccountOption,
    unmatched: Annotated[bool, typer.Option("--open", help="Only those of nothing yet.")] = False,
    last: Annotated[int, typer.Option("--last", min=1, max=1000, help="So many, the newest.")] = 50,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lines of an account, the newest first. What the bank says about them is not shown: it may name a payer."""

    async def main() -> list[BankLine]:
        async with reading(config, tenant) as units:
            return await units.read(store.some, account, unmatched=unmatched, limit=last)

    found = run(main)
    if not found:  # of an account that was taken out of the configuration lines may be here
        with friendly():
            loaded = settings(config)
            loaded.tenant(tenant_name(loaded, tenant)).bank_account(account)
    for one in found:
        out(json.dumps(_facts(one)) if as_json else _text(one))


def _facts(one: BankLine) -> dict[str, str]:
    return {
        "line": one.line_id,
        "account": one.account,
        "bookedOn": one.booked_on.isoformat(),
        "amount": str(one.amount.decimal),
        "currency": one.amount.currency,
        "kind": one.kind,
        "reference": one.reference,
        "file": one.file_id,
        "at": one.said_at,
        "match": one.match_id,
        "receiptBy": one.receipt_by,
        "credited": str((one.amount - one.uncredited).decimal),
    }


def _text(one: BankLine) -> str:
    receipt = f"a receipt of nobody, {one.uncredited} left" if one.uncredited.minor else "a receipt, credited whole"
    is_it = one.match_id or (receipt if one.receipt_by else "open")
    return f"{one.booked_on} {one.line_id}  {one.amount}  {one.kind} {one.reference}  {is_it}"


@bank.command("match")
def match_lines(
    lines: Annotated[list[str], typer.Argument(help="The bank lines (bnk…).")],
    payouts: Annotated[
        list[str] | None, typer.Option("--payout", help="A payout, by our id or the processor's; repeatable.")
    ] = None,
    bags: Annotated[
        list[str] | None,
        typer.Option("--bag", help="A bag (bag…), or a bounced check by its return (ret…); repeatable."),
    ] = None,
    by: ByOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Say that lines are payouts or bags, where no rule can decide it. Payouts have to come to the same amount; what
    the bank has counted otherwise of a bag stays in deposit_in_transit and is told."""
    found = [*(payouts or ()), *(bags or ())]
    wish = {"lines": lines, "payouts": found}
    match_id = decided(config, tenant, lambda server: server.match_by_hand(**wish, by=by, reason=reason))
    out(f"{match_id}: {', '.join(lines)} {'is' if len(lines) == 1 else 'are'} {', '.join(found)}")


@bank.command("unmatch")
def unmatch_line(
    line: Annotated[str, typer.Argument(help="A bank line (bnk…) of the match.")],
    by: ByOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Say that a line is not what it was matched with: the whole match is taken back, and its entries reversed."""
    match_id = decided(config, tenant, lambda server: server.unmatch(line=line, by=by, reason=reason))
    out(f"{match_id} is taken back: no rule matches {line} with the same again")


@bank.command("receipt")
def book_receipt(
    line: Annotated[str, typer.Argument(help="The bank line (bnk…).")],
    by: ByOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Book a line as money whose owner nobody knows, until `match` says what it is, or `credit` whose."""
    found = decided(config, tenant, lambda server: server.book_receipt(line=line, by=by, reason=reason))
    out(f"{found} is booked as an unidentified receipt")
