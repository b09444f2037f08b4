"""What an EHR says is no longer read (its report, or `read_back`, is out of the configuration): its lines can't go by
themselves any more, so one line takes their place, with how many there were and of how much.

Looked at when the hands start (`app`), since the configuration is read then. Once it is read again, what is still so is
told anew by match_postings.py, and this line goes.
"""

from __future__ import annotations

from collections import defaultdict

from ..billing import worklist
from ..billing.worklist import Item
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..log import Log
from .match_postings import KINDS, sources_of

log = Log("writeback")

GONE = "report_gone"  # on the worklist; its subject is the source and the receiver


def note(tx: Tx, tenant: Tenant) -> None:
    """A line for each source that isn't read any more and has lines; those that are read again are taken off."""
    read = {f"{source}:{one.name}" for one in tenant.receivers for source in sources_of(one)}
    left: dict[str, list[tuple[str, Item]]] = defaultdict(list)
    for kind in KINDS:
        for item in worklist.list_open(tx, kind=kind, limit=None):
            source = ":".join(item.subject.split(":")[:2])
            if source not in read:
                left[source].append((kind, item))
    for source, items in sorted(left.items()):
        worth: dict[str, Money] = {}
        for _, item in items:
            if item.amount is not None:
                code = item.amount.currency
                worth[code] = worth.get(code, Money.zero(code)) + item.amount
        sums = ", ".join(str(one) for _, one in sorted(worth.items()))
        what, _, name = source.partition(":")
        says = f"{len(items)} lines{f' of {sums} in all' if sums else ''} came of the {what.replace('_', ' ')} of"
        says += f" '{name}', which is not read any more: whether they are still so nothing here can tell"
        worklist.open_item(tx, kind=GONE, subject=source, says=says)
        for kind, item in items:
            worklist.settled(tx, kind, item.subject)
        log.warning("posting.report_gone", connection=name)
    for item in worklist.list_open(tx, kind=GONE):
        if item.subject in read:
            worklist.settled(tx, GONE, item.subject)
