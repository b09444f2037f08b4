"""Whether what is open for a person says all they need: amount, age, owner, next step, command, and what it is of."""

from __future__ import annotations

from typing import Any

from month_world import MonthWorld

from fhirpay.db.unit import Tx
from fhirpay.errors import NotFound
from fhirpay.reconciliation.kinds import KINDS
from fhirpay.usecases import desk_list
from fhirpay.usecases.explain import explain
from fhirpay.web.api import views

WANTED = ("amount", "since", "age_days", "owner", "next", "command")
# Of no payment, payout or line: of a merchant's whole balance, of an account at the bank.
OF_A_WHOLE = ("processor_balance_differs", "bank_days_missing", "bank_statement_sum")


async def lacking(world: MonthWorld) -> list[str]:
    """Of each open break, what it doesn't say."""
    return await world.units.read(_lacking)


def _lacking(tx: Tx) -> list[str]:
    told: list[str] = []
    for one in desk_list.read(tx, limit=10_000).lines:
        if not KINDS[one.kind].legs:
            continue
        shown: dict[str, Any] = views.line(one, tx.now)
        empty = [name for name in WANTED if shown.get(name) in (None, "")]
        told += [f"{one.kind} has no {', '.join(empty)}: {shown}"] * bool(empty)
        if one.kind not in OF_A_WHOLE and (lost := _unexplained(tx, shown)):
            told.append(f"{one.kind}: {lost}")
    return told


def _unexplained(tx: Tx, shown: dict[str, Any]) -> str:
    """Why `fhirpay explain` of what it is about doesn't lead to it; empty: it does."""
    wanted = str(shown["subject"]).rsplit(":", 1)[-1]
    try:
        return "" if explain(tx, wanted).roots else f"explain shows nothing of {wanted}"
    except NotFound as error:
        return str(error)
