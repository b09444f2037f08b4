"""What an account's facts have that isn't FHIR: what staff stated and gave up, holds, parked messages, money received.

Called by store.reassess, with the account's rows as they were before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import RowMapping, bindparam, select

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from . import entries, recoveries, rows
from .assessment import Basis
from .facts import AccountFacts, WriteOff
from .rows import ENDS
from .tables import AccountCredit

credits = table(AccountCredit)
_CREDITS = select(credits.c.account_ref, credits.c.currency, credits.c.amount_minor).where(
    credits.c.tenant_id == bindparam("tenant"), credits.c.account_ref.in_(bindparam("accounts", expanding=True))
)


def with_ours(tx: Tx, facts: AccountFacts, before: list[RowMapping], parked: list[str]) -> AccountFacts:
    """The facts that aren't FHIR: staff entries, holds, parked messages, and what was received here."""
    received: dict[str, Money] = {}
    for row in before:
        if row["basis_kind"] == Basis.INVOICE and row["paid_minor"] + row["in_flight_minor"]:
            money = Money(row["paid_minor"] + row["in_flight_minor"], row["currency"])
            key = row["basis_key"]
            received[key] = received[key] + money if key in received else money
    stated = entries.of_account(tx, facts.ref)
    return replace(
        facts,
        staff=stated.amounts,
        write_offs=tuple(_written_off(one, before) for one in stated.write_offs),
        holds=entries.holds_of(tx, facts.ref),
        self_pay=stated.self_pay or facts.self_pay,
        self_pay_confirmed=bool(stated.self_pay),
        second_charges=stated.second_charges,
        suspended_by=tuple(parked),
        received=received,
        paid_charges=frozenset(
            str(row["basis_key"])
            for row in before
            if row["basis_kind"] == Basis.CHARGE and row["paid_minor"] + row["in_flight_minor"]
        ),
        recoveries=recoveries.of_account(tx, facts.ref),
        **_of_others(tx, facts, before),
    )


def given_up_of(tx: Tx, charge: str, account_refs: Iterable[str]) -> list[WriteOff]:
    """What staff have given up there of this charge, or of what may have stood for it."""
    stated = [one for each in entries.write_offs_of(tx, account_refs).values() for one in each]
    before = rows.of_accounts(tx, account_refs) if stated else []
    found = (_written_off(one, before) for one in stated)
    return [one for one in found if one.basis[0] not in (Basis.CHARGE, Basis.OPENING) or one.basis[1] == charge]


def _written_off(one: WriteOff, before: list[RowMapping]) -> WriteOff:
    """With what it is of by now, and what was received of that."""
    of = next((row for row in before if row["obligation_id"] == one.obligation_id), None)
    if of is None:
        return one
    basis, currency = (of["basis_kind"], of["basis_key"]), one.amount.currency
    alike = [row for row in before if (row["basis_kind"], row["basis_key"]) == basis and row["currency"] == currency]
    received = sum(row["paid_minor"] + row["in_flight_minor"] for row in alike if row["state"] not in ENDS)
    return replace(one, basis=basis, received=received)


def _of_others(tx: Tx, facts: AccountFacts, before: list[RowMapping]) -> dict[str, Any]:
    """What the linked accounts draw from charges, what they have asked for and given up, and the money that lies loose
    there."""
    if not facts.elsewhere:
        return {}
    refs = [other.ref for other in facts.elsewhere]
    drawn: dict[tuple[str, str, str], int] = {}
    loose: dict[tuple[str, str], int] = {}
    asked: dict[str, set[str]] = {}
    found = rows.of_accounts(tx, refs)
    for row in found:
        account = row["account_ref"], row["currency"]
        asked.setdefault(row["account_ref"], set()).add(row["basis_key"])
        over = row["paid_minor"] + row["in_flight_minor"] - row["patient_minor"]
        loose[account] = loose.get(account, 0) + max(0, over)
        for charge, minor in json.loads(row["draws"]).items():
            if row["basis_kind"] == Basis.INVOICE:
                drawn[row["basis_key"], charge, row["currency"]] = minor
    for credit in tx.all(_CREDITS, accounts=refs):
        account = credit["account_ref"], credit["currency"]
        loose[account] = loose.get(account, 0) + credit["amount_minor"]
    copays = {
        (row["account_ref"], row["basis_key"])
        for row in (*before, *found)
        if row["basis_kind"] == Basis.COPAY and row["paid_minor"] + row["in_flight_minor"]
    }
    given_up = {
        ref: tuple(_written_off(one, found) for one in stated)
        for ref, stated in entries.write_offs_of(tx, refs).items()
    }
    return {"drawn": drawn, "loose": loose, "asked": asked, "paid_copays": copays, "given_up": given_up}
