"""Obligation rows: locked, read, written. Used by store.py and money.py inside the caller's unit.

Every unit that changes what is owed on an account, or the money on it, first locks the account's row: two units on
one account run one after the other, and each sees what the other has done.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.obligation import MOVES, ObligationState
from ..errors import IllegalMove, InvariantBroken, NotFound
from ..flow.overview import suspended
from .assessment import Says
from .standing import Standing
from .tables import AccountHold, AccountState, Obligation

obligations = table(Obligation)
accounts = table(AccountState)
holds = table(AccountHold)

_TENANT = bindparam("tenant")
_ACCOUNT = select(accounts).where(accounts.c.tenant_id == _TENANT, accounts.c.account_ref == bindparam("account"))
_LOCKED = _ACCOUNT.with_for_update()
_TOUCH = (
    update(accounts)
    .where(accounts.c.tenant_id == _TENANT, accounts.c.account_ref == bindparam("account"))
    .values(revision=accounts.c.revision + 1, topics=bindparam("about"), updated_at=bindparam("now"))
    .returning(accounts.c.revision)
)
_FIRST = insert(accounts).on_conflict_do_nothing()
_HELD = (
    select(holds.c.says)
    .where(holds.c.tenant_id == _TENANT, holds.c.account_ref == bindparam("account"), holds.c.released_at.is_(None))
    .limit(1)
)
_OF_ACCOUNTS = (
    select(obligations)
    .where(obligations.c.tenant_id == _TENANT, obligations.c.account_ref.in_(bindparam("accounts", expanding=True)))
    .order_by(obligations.c.created_at, obligations.c.obligation_id)
)
_OF_DEBTORS = (
    select(obligations)
    .where(obligations.c.tenant_id == _TENANT, obligations.c.debtor_ref.in_(bindparam("debtors", expanding=True)))
    .order_by(obligations.c.created_at, obligations.c.obligation_id)
)
_BASES = (
    select(obligations.c.basis_key)
    .where(obligations.c.tenant_id == _TENANT, obligations.c.account_ref == bindparam("account"))
    .distinct()
)
_WITH = (
    select(obligations.c.account_ref)
    .where(obligations.c.tenant_id == _TENANT, obligations.c.basis_key.in_(bindparam("bases", expanding=True)))
    .distinct()
)
_IS_IT = (obligations.c.tenant_id == _TENANT, obligations.c.obligation_id == bindparam("obligation"))
_BY_ID = select(obligations).where(*_IS_IT)
_WRITE = update(obligations).where(*_IS_IT).values(revision=obligations.c.revision + 1)
_ADD = insert(obligations)

ENDS = frozenset({ObligationState.SUPERSEDED, ObligationState.VOID})


@dataclass(frozen=True, slots=True)
class ObligationView:
    """An obligation as others see it. `askable` is what may be asked for now."""

    obligation_id: str
    account_ref: str
    basis_kind: str
    basis_key: str
    debtor_ref: str
    state: ObligationState
    hold: str
    pending: Money
    patient: Money
    paid: Money
    in_flight: Money
    askable: Money
    collectable_from: datetime | None
    statement: tuple[Says, ...]
    targets: tuple[str, ...]
    superseded_by: str
    facility: str
    generation: int
    memo: Money  # of before a watermark: shown, in no book, never asked for
    written_off: Money  # by staff: `patient` is less that


def lock(tx: Tx, account_refs: Iterable[str]) -> dict[str, RowMapping]:
    """Lock these accounts until the unit ends, in sorted order so that nobody deadlocks."""
    found: dict[str, RowMapping] = {}
    for ref in sorted(set(account_refs)):
        row = tx.one(_LOCKED, account=ref)
        if row is None:
            first = {"tenant_id": tx.tenant, "account_ref": ref, "revision": 0, "topics": "[]", "updated_at": tx.now}
            tx.put(_FIRST, first)
            row = tx.one(_LOCKED, account=ref)
        if row is None:
            raise InvariantBroken("the account's row can't be read in the unit that made it")
        found[ref] = row
    return found


def account(tx: Tx, account_ref: str) -> RowMapping | None:
    """The account's row, not locked; None for one that has never been assessed."""
    return tx.one(_ACCOUNT, account=account_ref)


def touch(tx: Tx, account_ref: str, *, topics: Sequence[str]) -> int:
    """Count a change of the account; its number."""
    return int(tx.scalar(_TOUCH, account=account_ref, about=json.dumps(list(topics)), now=tx.now))


def stopped(tx: Tx, account: RowMapping) -> str:
    """Why nothing may be collected on this account at this moment, whatever its rows say; empty: nothing stops it.

    A message parked, or a hold opened, since the account was last assessed.
    """
    topics = json.loads(account["topics"])
    if topics and suspended(tx, topics):
        return "a message of this account is parked"
    return tx.scalar(_HELD, account=account["account_ref"]) or ""


def of_accounts(tx: Tx, account_refs: Iterable[str]) -> list[RowMapping]:
    """All rows, past generations too, oldest first."""
    return tx.all(_OF_ACCOUNTS, accounts=sorted(set(account_refs)))


def of_debtors(tx: Tx, debtor_refs: Iterable[str]) -> list[RowMapping]:
    """All rows that one of these owes, on whatever account, past generations too, oldest first."""
    return tx.all(_OF_DEBTORS, debtors=sorted(set(debtor_refs)))


def bases(tx: Tx, account_ref: str) -> set[str]:
    """What the account's obligations rest on, past ones too."""
    return {row["basis_key"] for row in tx.all(_BASES, account=account_ref)}


def accounts_with(tx: Tx, basis_keys: Iterable[str]) -> set[str]:
    """The accounts that have an obligation resting on one of these resources, also where they say so no more."""
    return {row["account_ref"] for row in tx.all(_WITH, bases=sorted(set(basis_keys)))}


def get(tx: Tx, obligation_id: str) -> RowMapping:
    row = tx.one(_BY_ID, obligation=obligation_id)
    if row is None:
        raise NotFound(f"there is no obligation {obligation_id}", obligation_id=obligation_id)
    return row


def write(tx: Tx, obligation_id: str, **values: Any) -> None:
    tx.put(_WRITE, {"tenant": tx.tenant, "obligation": obligation_id, "updated_at": tx.now, **values})


def add(tx: Tx, **values: Any) -> str:
    obligation_id = tx.ids.new("obl")
    row = {"tenant_id": tx.tenant, "obligation_id": obligation_id, "paid_minor": 0, "in_flight_minor": 0}
    row |= {"revision": 1, "created_at": tx.now, "updated_at": tx.now, **values}
    tx.put(_ADD, row)
    return obligation_id


def standing(row: RowMapping, **changed: int) -> Standing:
    amounts = {"paid_minor": row["paid_minor"], "in_flight_minor": row["in_flight_minor"], **changed}
    return Standing(
        obligation_id=row["obligation_id"],
        currency=row["currency"],
        basis_state=ObligationState(row["basis_state"]),
        patient=row["patient_minor"],
        posted=row["posted_minor"],
        collectable_from=row["collectable_from"],
        paid=amounts["paid_minor"],
        in_flight=amounts["in_flight_minor"],
        written_off=written_off(row),
        order=(row["basis_kind"], row["basis_key"]),
    )


def written_off(row: RowMapping) -> int:
    """What staff have given up of it."""
    return 0 if row["written_off"] == "{}" else sum(json.loads(row["written_off"]).values())


def count_money(tx: Tx, obligation_id: str, *, paid: int = 0, in_flight: int = 0) -> None:
    """Add to (or with a minus take from) an obligation's money; its state follows. Raises IllegalMove."""
    row = get(tx, obligation_id)
    amounts = {"paid_minor": row["paid_minor"] + paid, "in_flight_minor": row["in_flight_minor"] + in_flight}
    if min(amounts.values()) < 0:
        raise InvariantBroken(f"{obligation_id} would hold less than no money", obligation_id=obligation_id)
    state = moved(ObligationState(row["state"]), standing(row, **amounts).state)
    write(tx, obligation_id, **amounts, state=str(state))


def moved(current: ObligationState, new: ObligationState) -> ObligationState:
    """`new`, when a chain of legal moves leads there: what came in together may be more than one step. An obligation
    that has come to its end stays there. Raises IllegalMove."""
    if current in ENDS or current is new:
        return current
    ways = deque([current])
    seen = {current}
    while ways:
        for following in MOVES.next(ways.popleft()):
            if following is new:
                return new
            if following not in seen:
                seen.add(following)
                ways.append(following)
    raise IllegalMove(f"an obligation can't go from {current} to {new}")


def view(row: RowMapping, askable: int = 0) -> ObligationView:
    def money(minor: int) -> Money:
        return Money(minor, row["currency"])

    return ObligationView(
        obligation_id=row["obligation_id"],
        account_ref=row["account_ref"],
        basis_kind=row["basis_kind"],
        basis_key=row["basis_key"],
        debtor_ref=row["debtor_ref"],
        state=ObligationState(row["state"]),
        hold=row["hold"],
        pending=money(row["pending_minor"]),
        patient=money(row["patient_minor"]),
        paid=money(row["paid_minor"]),
        in_flight=money(row["in_flight_minor"]),
        askable=money(askable),
        collectable_from=row["collectable_from"],
        statement=tuple(Says(**says) for says in json.loads(row["statement"])),
        targets=tuple(json.loads(row["targets"])),
        superseded_by=row["superseded_by"] or "",
        facility=row["facility"],
        generation=row["generation"],
        memo=money(row["memo_minor"]),
        written_off=money(written_off(row)),
    )
