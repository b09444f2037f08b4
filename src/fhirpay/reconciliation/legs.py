"""The four ways in figures: what each leg has matched, by which rule and how sure, and what is left. Reads only.

Takes the caller's `tx`; called by `fhirpay reconcile`. The rules of EHR postings stand in writeback/ehr_match.py, those
of bank lines in bank/matching.py, those of lines of payouts in rules.toml.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, select

from ..bank.tables import BankMatchedRow, BankMatchRow
from ..billing.tables import WorklistItem
from ..db.metadata import table
from ..db.unit import Tx
from ..domain.payout import CAME_BACK
from ..payments.tables import PaymentBreakRow
from ..settlement.tables import PayoutRow
from ..writeback.said_tables import EhrPostingRow
from . import line_matches
from .kinds import KINDS

_said, _match, _matched = table(EhrPostingRow), table(BankMatchRow), table(BankMatchedRow)
_payout, _break, _item = table(PayoutRow), table(PaymentBreakRow), table(WorklistItem)
By = dict[tuple[str, str], int]  # rule and confidence → how many


@dataclass(frozen=True, slots=True)
class Leg:
    """`left` are those of nothing. `names` what is counted."""

    name: str
    names: str
    by_rule: By
    left: int

    @property
    def total(self) -> int:
        return sum(self.by_rule.values()) + self.left

    def share(self, rules: Iterable[str]) -> str:
        """How many in a hundred these rules have matched, with two places, rounded down; '' where there is nothing."""
        exact = sum(count for (rule, _), count in self.by_rule.items() if rule in set(rules))
        return f"{exact * 10_000 // self.total / 100:.2f}" if self.total else ""


@dataclass(frozen=True, slots=True)
class Open:
    """Breaks of a kind and currency that are open, or that a person accepted. No currency: no money is at stake."""

    kind: str
    currency: str
    count: int
    minor: int
    oldest: Any
    accepted: bool = False


def legs(tx: Tx, merchants: Sequence[str]) -> list[Leg]:
    """EHR to ledger, ledger to lines of payouts, payouts to bank. The first is of the whole tenant."""
    return [_ehr(tx), _lines(tx, merchants), _bank(tx, merchants)]


def _ehr(tx: Tx) -> Leg:
    query = select(_said.c.rule, _said.c.confidence, func.count().label("n")).where(
        _said.c.tenant_id == tx.tenant, _said.c.gone_at.is_(None), _said.c.source != "message"
    )
    by_rule = _counted(tx, query.group_by(_said.c.rule, _said.c.confidence))
    return Leg("EHR and ledger", "postings that an EHR has", by_rule, by_rule.pop(("", ""), 0))


def _lines(tx: Tx, merchants: Sequence[str]) -> Leg:
    by_rule = line_matches.counts(tx, merchants)
    total = line_matches.lines_to_match(tx, merchants)
    return Leg("ledger and payouts", "lines of payouts", by_rule, total - sum(by_rule.values()))


def _bank(tx: Tx, merchants: Sequence[str]) -> Leg:
    mine = (_payout.c.tenant_id == tx.tenant, _payout.c.merchant.in_(list(merchants)), _payout.c.amount_minor != 0)
    arrived = and_(
        _matched.c.tenant_id == _payout.c.tenant_id,
        _matched.c.subject == _payout.c.payout_id,
        _matched.c.what == "arrival",
    )
    said = and_(_match.c.tenant_id == _matched.c.tenant_id, _match.c.match_id == _matched.c.match_id)
    joined = _payout.join(_matched, arrived).join(_match, said)
    query = select(_match.c.rule, _match.c.confidence, func.count().label("n")).select_from(joined).where(*mine)
    by_rule = _counted(tx, query.group_by(_match.c.rule, _match.c.confidence))
    gone = [str(one) for one in CAME_BACK]
    waits = select(func.count()).select_from(_payout.outerjoin(_matched, arrived)).where(*mine)
    left = tx.scalar(waits.where(_matched.c.match_id.is_(None), _payout.c.state.not_in([*gone, "open", "batch_open"])))
    return Leg("payouts and bank", "payouts and batches", by_rule, int(left or 0))


def _counted(tx: Tx, query: Any) -> By:
    return {(row["rule"], row["confidence"]): row["n"] for row in tx.all(query)}


def open_breaks(tx: Tx, merchants: Sequence[str]) -> list[Open]:
    """What is open of the kinds that compare two sides, by kind and currency; of these merchants, or of none. Then what
    a person accepted, and is still so."""
    kinds = [one.name for one in KINDS.values() if one.legs]
    worth, since = func.sum(_break.c.amount_minor).label("minor"), func.min(_break.c.opened_at).label("oldest")
    breaks = (
        select(_break.c.kind, _break.c.currency, func.count().label("n"), worth, since)
        .where(_break.c.tenant_id == tx.tenant, _break.c.kind.in_(kinds))
        .where(_break.c.merchant.in_([*merchants, ""]))
        .group_by(_break.c.kind, _break.c.currency)
    )
    worth, since = func.sum(_item.c.amount_minor).label("minor"), func.min(_item.c.created_at).label("oldest")
    items = (
        select(_item.c.kind, _item.c.currency, func.count().label("n"), worth, since)
        .where(_item.c.tenant_id == tx.tenant, _item.c.state == "open", _item.c.kind.in_(kinds))
        .group_by(_item.c.kind, _item.c.currency)
    )
    found = [
        Open(row["kind"], row["currency"] or "", row["n"], int(row["minor"] or 0), row["oldest"])
        for query in (breaks.where(_break.c.closed_at.is_(None)), items)
        for row in tx.all(query)
    ]
    lived_with = breaks.where(_break.c.accepted_minor.is_not(None))
    found += [
        Open(row["kind"], row["currency"], row["n"], int(row["minor"]), row["oldest"], accepted=True)
        for row in tx.all(lived_with)
    ]
    return sorted(found, key=lambda one: (one.accepted, one.kind, one.currency))
