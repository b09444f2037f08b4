"""What an account owes, kept: the rows and the ledger made to agree with responsibility.py. Called by use cases.

`reassess` after every change that bears on an account (reach.accounts_of says on which); what it can't do by itself
is in its answer: money that was paid and is no longer owed (`excess`), which `money.carry_out` turns into credit.
Its ledger entries come after every row that it locks; the caller should post its own after that too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping, bindparam, func, select

from ..config import Facility, Tenant
from ..db.metadata import table
from ..db.unit import Tx
from ..domain.fhir_urls import PURGED
from ..domain.money import Money
from ..domain.obligation import ObligationState
from ..flow.overview import suspended
from ..ledger import store as ledger
from . import adjustments, cutover, entries, recoveries, rows, worklist
from .adjustments import Adjustment
from .assessment import Assessment, Basis, Desired, Says
from .bills import PAID_ELSEWHERE
from .books import Position, steps
from .copays import CALLED_OFF, GUESSED
from .elements import flag
from .facts import AccountFacts
from .filed import filed_under, keep_former
from .intake import facility_of, facts_of, gather, stands_alone, topics_of
from .look_alikes import LOOK_ALIKE
from .openings import REPLACED
from .ours import with_ours
from .relief import UNPLACED
from .responsibility import assess
from .rows import ENDS, ObligationView, obligations
from .standing import Standing, askable
from .tables import AccountCredit
from .watermark import BEFORE
from .write_offs import UNPLACED as GIVEN_UP_ELSEWHERE
from .write_offs import booked

PURGED_OPEN = "purged_open"  # on the worklist
LOWERED = "opening_doubtful"  # on the worklist
# notes that are off the worklist once the assessment makes them no more
_STANDING = (LOOK_ALIKE, PAID_ELSEWHERE, BEFORE, REPLACED, UNPLACED, GUESSED, CALLED_OFF, GIVEN_UP_ELSEWHERE)
credits = table(AccountCredit)
_CREDIT = select(func.coalesce(func.sum(credits.c.amount_minor), 0)).where(
    credits.c.tenant_id == bindparam("tenant"),
    credits.c.account_ref == bindparam("account"),
    credits.c.currency == bindparam("currency"),
)


@dataclass(frozen=True, slots=True)
class Reassessed:
    """What is owed now. `excess`: paid and no longer owed; until it is taken off it is told again every time."""

    account_ref: str
    facility: Facility
    obligations: tuple[ObligationView, ...]
    excess: tuple[tuple[str, Money], ...]
    newly_collectable: tuple[str, ...]
    linked: tuple[str, ...]  # other accounts that may ask for the same: reach.others_of
    adjusted: tuple[Adjustment, ...]  # what the EHR is to be told was taken off, or put back
    adjusts_at: datetime | None  # when there is more to tell by the calendar alone
    changed: bool
    assessment: Assessment


def reassess(tx: Tx, account_ref: str, tenant: Tenant, *, applying: str = "") -> Reassessed:
    """Make the account's obligations and its ledger what they should be by all that is known now.

    `applying` is the work item in whose unit this runs: having been parked, it would suspend the account itself.
    """
    account = rows.lock(tx, [account_ref])[account_ref]
    before = rows.of_accounts(tx, [account_ref])
    resources = gather(tx, account_ref)
    facility, topics = facility_of(resources, tenant), topics_of(resources.account)
    parked = [work for work in (suspended(tx, topics) if topics else ()) if work != applying]
    facts = cutover.of_facts(tx, with_ours(tx, facts_of(resources, facility), before, parked), tenant)
    assessment = assess(facts, facility, tx.now)
    changed = _settle_rows(tx, facts, facility, assessment, before)
    after = rows.of_accounts(tx, [account_ref])
    revision = account["revision"]
    if changed or json.loads(account["topics"]) != list(topics):
        revision = rows.touch(tx, account_ref, topics=topics)
    for note in assessment.notes:
        worklist.open_item(
            tx, kind=note.kind, subject=note.subject, says=note.says, account_ref=account_ref, standing=True
        )
    left = {kind: [note.subject for note in assessment.notes if note.kind == kind] for kind in _STANDING}
    worklist.only(tx, account_ref, left)
    _note_purged(tx, account_ref, resources.account, after)
    _note_lowered(tx, facts, before, after)
    _post(tx, account_ref, facility, before, after, revision)
    adjusted, adjusts_at = adjustments.tell(tx, before, after)
    amounts = askable_of(tx, account_ref, after)
    was = {row["obligation_id"]: _open(row) for row in before}
    return Reassessed(
        account_ref=account_ref,
        facility=facility,
        obligations=tuple(rows.view(row, amounts.get(row["obligation_id"], 0)) for row in after),
        excess=tuple(
            (row["obligation_id"], Money(excess, row["currency"]))
            for row in after
            if (excess := rows.standing(row).excess)
        ),
        newly_collectable=tuple(row["obligation_id"] for row in after if _open(row) > was.get(row["obligation_id"], 0)),
        linked=tuple(other.ref for other in facts.elsewhere),
        adjusted=adjusted,
        adjusts_at=adjusts_at,
        changed=changed,
        assessment=assessment,
    )


def nothing_on(tx: Tx, account: RowMapping) -> bool:
    """Whether it is a patient on whom nothing rests, nor ever did: mostly, since charges stand on accounts. Assessing
    it would change nothing. Under its lock; `account` is its row.
    """
    ref = account["account_ref"]
    if not ref.startswith("Patient/") or account["revision"] > 0:
        return False
    if entries.all_entries(tx, ref) or cutover.openings_of(tx, ref) or stands_alone(tx, ref):
        return False
    worklist.only(tx, ref, dict.fromkeys(_STANDING, ()))
    return True


def _note_purged(tx: Tx, account_ref: str, account: Mapping[str, Any], after: list[RowMapping]) -> None:
    """The sender has put the account away (BAR^P02) while there is money on it."""
    if not flag(account, PURGED):
        return
    currencies = sorted({row["currency"] for row in after})
    left: list[str] = []
    for currency in currencies:
        rows_of = [row for row in after if row["currency"] == currency and row["state"] not in ENDS]
        unpaid = sum(row["pending_minor"] + max(0, row["patient_minor"] - row["paid_minor"]) for row in rows_of)
        left += [f"{Money(unpaid, currency)} open"] if unpaid else []
        credit = credit_of(tx, account_ref, currency)
        left += [f"{Money(credit, currency)} of credit"] if credit else []
    if left:
        says = f"purged by its sender with {', '.join(left)}"
        worklist.open_item(tx, kind=PURGED_OPEN, subject=account_ref, says=says, account_ref=account_ref, standing=True)
    else:
        worklist.settled(tx, PURGED_OPEN, account_ref)


def _note_lowered(tx: Tx, facts: AccountFacts, before: list[RowMapping], after: list[RowMapping]) -> None:
    """What an opening balance was taken over for was credited or corrected after its feed went live."""
    live = [one for one in facts.openings if not one.taken_back and one.opening_id not in facts.waiting]
    for currency in sorted({one.amount.currency for one in live}):
        was, now = (sum(row["memo_minor"] for row in side if row["currency"] == currency) for side in (before, after))
        if now < was:
            says = f"what is of before the watermark has gone from {Money(was, currency)} to {Money(now, currency)}"
            says += ": is the opening balance still right?"
            worklist.open_item(tx, kind=LOWERED, subject=facts.ref, says=says, account_ref=facts.ref)


def _open(row: RowMapping) -> int:
    return rows.standing(row).open if row["state"] == ObligationState.COLLECTABLE else 0


# ── rows ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _settle_rows(
    tx: Tx, facts: AccountFacts, facility: Facility, assessment: Assessment, before: list[RowMapping]
) -> bool:
    account_ref, filed = facts.ref, {"facility": facility.name, **filed_under(facts)}
    current: dict[tuple[str, str, str], RowMapping] = {}
    for row in before:
        key = (row["basis_kind"], row["basis_key"], row["currency"])
        if key not in current or row["generation"] > current[key]["generation"]:
            current[key] = row
    changed = False
    wanted = {desired.key for desired in assessment.obligations}
    for desired in assessment.obligations:
        row = current.pop(desired.key, None)
        if desired.basis_kind is Basis.COPAY and desired.state not in ENDS and (row is None or row["state"] in ENDS):
            names = [*facts.known_as.get(desired.basis_key, ()), account_ref]
            if desired.basis_key == account_ref:
                names += [name for _, name, _ in current if name.startswith("Appointment/")]
            keys = [(Basis.COPAY, name, desired.currency) for name in names]
            row = _renamed(tx, desired, row, [key for key in keys if key not in wanted], current) or row
        if row is None or (row["state"] in ENDS and desired.state not in ENDS):
            if desired.state is not ObligationState.VOID:
                generation = row["generation"] + 1 if row else 1
                _add(tx, account_ref, {**_columns(desired), **filed}, desired, generation)
                changed = True
        elif row["state"] not in ENDS:
            changed |= _change(tx, row, {**_columns(desired), **filed})
    for row in current.values():
        if row["state"] not in ENDS:
            changed |= _change(tx, row, _gone(row))
    return changed


def _renamed(
    tx: Tx,
    desired: Desired,
    ended: RowMapping | None,
    names: Iterable[tuple[str, str, str]],
    current: dict[tuple[str, str, str], RowMapping],
) -> RowMapping | None:
    """The same copay, asked for under another name until now: what was paid, or is on its way, goes along."""
    for name in names:
        row = current.get(name)
        if row is not None and row["state"] not in ENDS:
            rows.write(
                tx,
                row["obligation_id"],
                basis_key=desired.basis_key,
                generation=ended["generation"] + 1 if ended else 1,
            )
            return current.pop(name)
    return None


def _columns(desired: Desired) -> dict[str, Any]:
    drawn = sum(desired.draws.values())
    return {
        "debtor_ref": desired.debtor,
        "basis_state": str(desired.state),
        "hold": desired.hold,
        "pending_minor": desired.pending.minor,
        "patient_minor": desired.patient.minor,
        "discount_minor": desired.discount.minor if desired.discount else 0,
        "memo_minor": desired.memo.minor if desired.memo else 0,
        "posted_minor": drawn - sum(booked(desired.written_off, drawn).values()),
        "draws": json.dumps(dict(sorted(desired.draws.items()))),
        "relief": json.dumps(dict(sorted(desired.relief.items()))),
        "written_off": json.dumps(dict(sorted(desired.written_off.items()))),
        "statement": _statement(desired.statement),
        "collectable_from": desired.collectable_from,
        "targets": json.dumps(list(desired.targets)),
        "superseded_by": desired.superseded_by or None,
    }


def _gone(row: RowMapping) -> dict[str, Any]:
    """What an obligation becomes whose basis is no longer stated: a line corrected, a charge moved elsewhere."""
    says = (Says("gone", "no longer stated on this account", row["basis_key"]),)
    zeros = dict.fromkeys(("pending_minor", "patient_minor", "discount_minor", "posted_minor", "memo_minor"), 0)
    void = {"basis_state": str(ObligationState.VOID), "hold": "", "draws": "{}", "relief": "{}", "superseded_by": None}
    return {**zeros, **void, "written_off": "{}", "collectable_from": None, "statement": _statement(says)}


def _statement(says: tuple[Says, ...]) -> str:
    return json.dumps([{"kind": one.kind, "says": one.says, "source": one.source} for one in says])


def _add(tx: Tx, account_ref: str, columns: Mapping[str, Any], desired: Desired, generation: int) -> None:
    standing = Standing(
        "",
        desired.currency,
        desired.state,
        desired.patient.minor,
        columns["posted_minor"],
        desired.collectable_from,
        written_off=sum(desired.written_off.values()),
    )
    rows.add(
        tx,
        account_ref=account_ref,
        basis_kind=str(desired.basis_kind),
        basis_key=desired.basis_key,
        currency=desired.currency,
        generation=generation,
        state=str(standing.state),
        **columns,
    )


def _change(tx: Tx, row: RowMapping, columns: Mapping[str, Any]) -> bool:
    if all(row[name] == value for name, value in columns.items()):
        return False
    keep_former(tx, row, columns)
    changed: Any = {**row, **columns}  # read like a row
    state = rows.moved(ObligationState(row["state"]), rows.standing(changed).state)
    rows.write(tx, row["obligation_id"], **columns, state=str(state))
    return True


# ── ledger ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _post(
    tx: Tx,
    account_ref: str,
    facility: Facility,
    before: list[RowMapping],
    after: list[RowMapping],
    revision: int,
) -> None:
    business_date = tx.now.astimezone(ZoneInfo(facility.zone)).date()
    for number, step in enumerate(steps(map(_position, before), map(_position, after)), start=1):
        if step.rule in ("recoverable", "recoverable_set_off"):
            step = replace(step, came_from=recoveries.came_from(tx, step.bucket))
        entry = step.entry(account_ref, occurred_at=tx.now, business_date=business_date)
        ledger.post(tx, entry, key=f"reassess/{account_ref}/{revision}/{number}")


def _position(row: RowMapping) -> Position:
    draws = json.loads(row["draws"])
    return Position(
        obligation_id=row["obligation_id"],
        kind=row["basis_kind"],
        key=row["basis_key"],
        currency=row["currency"],
        pending=row["pending_minor"],
        discount=row["discount_minor"],
        draws=draws,
        relief=json.loads(row["relief"]),
        written_off=booked(json.loads(row["written_off"]), sum(draws.values())),
    )


# ── what may be asked ─────────────────────────────────────────────────────────────────────────────────────────────


def askable_of(tx: Tx, account_ref: str, found: list[RowMapping], *, at: datetime | None = None) -> dict[str, int]:
    """Minor units that may be asked now, by obligation. Nothing while something stops the account."""
    account = rows.account(tx, account_ref)
    if account is None or rows.stopped(tx, account):
        return {}
    amounts: dict[str, int] = {}
    for currency in sorted({row["currency"] for row in found}):
        standings = [rows.standing(row) for row in found if row["currency"] == currency]
        amounts |= askable(standings, at or tx.now, credit=credit_of(tx, account_ref, currency))
    return amounts


def credit_of(tx: Tx, account_ref: str, currency: str) -> int:
    """Unapplied credit that stands on the account, in minor units."""
    return int(tx.scalar(_CREDIT, account=account_ref, currency=currency) or 0)


def owed(tx: Tx, account_ref: str) -> list[ObligationView]:
    """What may be asked for on this account now, obligation by obligation; each with its `askable` amount."""
    return [one for one in obligations_of(tx, account_ref) if one.askable]


def obligations_of(tx: Tx, account_ref: str) -> list[ObligationView]:
    """Every obligation of the account, past ones too, each with its statement."""
    found = rows.of_accounts(tx, [account_ref])
    amounts = askable_of(tx, account_ref, found)
    return [rows.view(row, amounts.get(row["obligation_id"], 0)) for row in found]


def owed_by(tx: Tx, debtor_refs: Iterable[str]) -> list[ObligationView]:
    """Every obligation of one party, known by these references, on whatever account: past ones too."""
    mine = {row["obligation_id"] for row in rows.of_debtors(tx, debtor_refs)}
    accounts = sorted({row["account_ref"] for row in rows.of_debtors(tx, debtor_refs)})
    # With all that is on its account: credit there may go to what somebody else owes.
    return [one for ref in accounts for one in obligations_of(tx, ref) if one.obligation_id in mine]


def obligation(tx: Tx, obligation_id: str) -> ObligationView:
    """One obligation. Raises NotFound."""
    row = rows.get(tx, obligation_id)
    found = rows.of_accounts(tx, [row["account_ref"]])
    return rows.view(row, askable_of(tx, row["account_ref"], found).get(obligation_id, 0))


def resting_on(tx: Tx, basis_key: str) -> list[ObligationView]:
    """The obligations that rest on this ChargeItem, Encounter or Invoice, oldest first. For `explain`."""
    where = (obligations.c.tenant_id == tx.tenant, obligations.c.basis_key == basis_key)
    found = tx.all(select(obligations).where(*where).order_by(obligations.c.created_at, obligations.c.obligation_id))
    return [obligation(tx, row["obligation_id"]) for row in found]
