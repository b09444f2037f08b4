"""`fhirpay adjustments …`: what we took off accounts, and what staff give up of an obligation, or take back."""

from __future__ import annotations

from typing import Annotated

import typer

from ..billing import adjustments as store
from ..billing import rows
from ..billing.adjustments import Adjustment
from ..billing.write_offs import WORDS
from ..db.unit import Tx
from ..fhir.json import dumps
from ..web.api.payments import account_ref
from ..writeback import store as writeback
from .admin import ByOption, ReasonOption, decided
from .context import ConfigOption, JsonOption, TenantOption, out, reading, run

adjustments = typer.Typer(help="Discounts and write-offs: list, write-off, recover.", no_args_is_help=True)


@adjustments.command("list")
def list_adjustments(
    account: Annotated[str, typer.Argument(help="Account/ID, or system|value.")],
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What was taken off the account's obligations and put back, with what each receiver has of it."""

    def found(tx: Tx) -> list[tuple[Adjustment, dict[str, str]]]:
        owed = [row["obligation_id"] for row in rows.of_accounts(tx, [account_ref(tx, account)])]
        made = store.of_obligations(tx, owed)
        return [(one, {to.connection: to.state for to in writeback.of_subject(tx, one.adjustment_id)}) for one in made]

    async def main() -> list[tuple[Adjustment, dict[str, str]]]:
        async with reading(config, tenant) as units:
            return await units.read(found)

    for one, told in run(main):
        out(dumps(_facts(one, told)) if as_json else _text(one, told))


def _facts(one: Adjustment, told: dict[str, str]) -> dict[str, object]:
    return {
        "adjustment": one.adjustment_id,
        "obligation": one.obligation_id,
        "kind": one.kind,
        "amount": str(one.amount.decimal),
        "currency": one.amount.currency,
        "madeAt": one.made_at.isoformat(),
        "told": told,
    }


def _text(one: Adjustment, told: dict[str, str]) -> str:
    states = ", ".join(f"{state} at '{name}'" for name, state in told.items()) or "told nobody"
    what = "put back" if one.takes_back else "taken off"
    return f"{one.adjustment_id}  {abs(one.amount)} {what} {one.obligation_id}, {WORDS[one.kind]}  {states}"


@adjustments.command("write-off")
def write_off(
    obligation: Annotated[str, typer.Argument(help="The obligation (obl…), as `fhirpay explain` names it.")],
    kind: Annotated[str, typer.Option("--kind", help="charity, bad_debt or small_balance.")],
    amount: Annotated[str, typer.Option("--amount", help="How much of it, as in 12.50; else all that is open.")] = "",
    by: ByOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Give up what a patient owes of an obligation."""
    said = {"obligation": obligation, "kind": kind, "amount": amount, "by": by, "reason": reason}
    out(f"written off by {decided(config, tenant, lambda server: server.write_off(**said))}")


@adjustments.command("recover")
def recover(
    entry: Annotated[str, typer.Argument(help="The write-off (stf…).")],
    by: ByOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Take a write-off back: what it gave up is owed again."""
    recovered = decided(config, tenant, lambda server: server.recover(entry=entry, by=by, reason=reason))
    out(f"{recovered} is taken back: what it gave up is owed again")
