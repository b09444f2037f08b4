"""A bag is seen at the bank: what was credited leaves `deposit_in_transit`, what the bank has counted otherwise stays.

    a match of lines with bags ─▶ bank / deposit_in_transit, the lines' sum ─▶ a rest of the bags: `deposit_differs`

Called by match_bank.py, unmatch_bank.py and decide_bank.py in their units. There is no account for a rest: it stands in
`deposit_in_transit` until the bank has credited it, and a person says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..bank.expected import Expected
from ..bank.store import BankLine, word_hash
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import RuleBroken
from ..ledger import rules
from ..ledger import store as ledger
from ..payments import bags, store
from ..payments.bags import Bag
from .money_off import business_day
from .tills import safe_of

DIFFERS = "deposit_differs"  # breaks
AMBIGUOUS = "deposit_ambiguous"


def words_of(expected: Sequence[Expected], key: bytes) -> dict[str, list[str]]:
    """By a word of the bank's, hashed, the bags whose slip it is, and the bounced checks whose number."""
    found: dict[str, list[str]] = {}
    for subject, slip in dict.fromkeys((one.subject, one.slip) for one in expected if one.slip):
        found.setdefault(word_hash(key, slip), []).append(subject)
    return found


def book(tx: Tx, tenant: Tenant, match_id: str, found: Sequence[Bag], lines: Sequence[BankLine], gap: Money) -> None:
    """These lines are these bags, of one facility. `gap` is what the bags come to above them."""
    total = sum((line.amount for line in lines), Money.zero(gap.currency))
    entry = rules.bag_at_bank(total, safe=_safe(found[0]), **_when(tx, tenant, found[0], lines))
    ledger.post(tx, entry, key=f"bag-at-bank/{match_id}")
    if gap:
        names = ", ".join(f"{one.bag_id} of {one.cash + one.in_checks}" for one in found)
        says = f"bag {names} was credited by the bank with {total}: {gap} stays in deposit_in_transit"
        store.open_break(tx, f"bank:{DIFFERS}:{match_id}", DIFFERS, says, subject=found[0].bag_id, amount=gap)


def take_back(tx: Tx, tenant: Tenant, match_id: str, found: Sequence[Bag], lines: Sequence[BankLine]) -> None:
    """The reversal of `book`, on the day that it is said."""
    total = sum((line.amount for line in lines), Money.zero(found[0].cash.currency))
    when = _when(tx, tenant, found[0], lines)
    entry = rules.bag_at_bank(total, safe=_safe(found[0]), back=True, **when)
    ledger.post(tx, entry, key=f"bag-unmatched/{match_id}")
    store.close_break(tx, f"bank:{DIFFERS}:{match_id}", by="bank", why="its match was taken back")


def shown(tx: Tx, one: Expected) -> str:
    """A bag or a bounced check in the words of a break: amount, place and day, no name."""
    if one.what == "deposit":
        bag = bags.get(tx, one.subject)
        return f"bag {bag.bag_id} of {one.amount}, sent from '{bag.facility}' on {bag.business_date}"
    return f"bounced check {one.subject}, {'the fee of it, ' if one.what == 'bounce_fee' else ''}{-one.amount}"


def _safe(bag: Bag) -> str:
    """As the books name it; a facility whose name can't be one's has no safe, only checks."""
    try:
        return safe_of(bag.facility)
    except RuleBroken:
        return ""


def _when(tx: Tx, tenant: Tenant, bag: Bag, lines: Sequence[BankLine]) -> rules.When:
    day = business_day(tenant, bag.facility, tx.now)
    refs = {"bag": bag.bag_id, "bank_line": lines[0].line_id}
    return rules.When(occurred_at=tx.now, business_date=day, refs=refs)
