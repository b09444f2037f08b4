"""Are the books whole? The chain, the balance of each entry and the control equations: online, and from an export.

Called by `fhirpay ledger verify`, nightly, from the desk and at the end of tests. It changes nothing.

Offline, `verify_export` needs nothing but the lines that `export` wrote and, to prove that nothing was cut off the
end, a head that was printed elsewhere; and, to prove whose it is, our public keys.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, cast

from joserfc.jwk import KeySet
from sqlalchemy import bindparam, func, select

from ..db.metadata import table
from ..db.unit import Prepared, Tx
from ..errors import MessageInvalid
from ..smart import heads
from .chain import FORMAT, Head, Mark
from .check import Reader, Report
from .closed import Step, stored_steps
from .kept_closed import Closed, of_rows, step_of, wrong_steps
from .spelling import EntryRow, PostingRow
from .store import COLUMNS
from .store import mark as current_mark
from .tables import LedgerEntry, LedgerPosting

_entry, _posting = table(LedgerEntry), table(LedgerPosting)
PAGE = 1000
_COUNT = select(func.count()).select_from(_posting).where(_posting.c.tenant_id == bindparam("tenant"))


def _column(name: str) -> str:
    return {"minor": "amount_minor", **COLUMNS}.get(name, name)


_PAGE = Prepared(
    select(*(_entry.c[name] for name in EntryRow._fields))
    .where(_entry.c.tenant_id == bindparam("tenant"), _entry.c.seq > bindparam("after"))
    .order_by(_entry.c.seq)
    .limit(bindparam("page"))
)
_OF_PAGE = Prepared(
    select(*(_posting.c[_column(name)] for name in PostingRow._fields))
    .join(_entry, (_entry.c.tenant_id == _posting.c.tenant_id) & (_entry.c.entry_id == _posting.c.entry_id))
    .where(_entry.c.tenant_id == bindparam("tenant"), _entry.c.seq.between(bindparam("first"), bindparam("last")))
    .order_by(_entry.c.seq, _posting.c.line)
)
Known = Iterable[Head | Mark]


def verify(tx: Tx, *, known: Known = ()) -> Report:
    """The whole ledger of this tenant: its texts, and that every row beside them says the same.

    `known` are heads printed earlier: a chain that was cut or rewritten since then shows. Heads at which periods were
    closed are among them, and what was closed has to have stayed so.
    """
    made, wrong = of_rows(stored_steps(tx), tx.tenant)
    printed = _marks(known)
    reader = Reader(tx.tenant, [one.head for one in (*printed, *made)])
    closed = Closed(made)
    repeated = 0
    for page in _pages(tx):
        stored: dict[str, list[Any]] = {}
        for posting in tx.run(_OF_PAGE, {"tenant": tx.tenant, "first": page[0][0], "last": page[-1][0]}):
            stored.setdefault(posting[0], []).append(posting)
        for row in page:
            postings = stored.get(row[1], [])
            repeated += len(postings)
            reader.take_stored(cast(EntryRow, row), postings)
            if closed.concerns(row[6], row[7]) and (says := closed.wrong(row[0], row[6], row[7])):
                reader.says("period", says, row[0])
    total = tx.scalar(_COUNT, tenant=tx.tenant)
    if total != repeated:
        reader.says("repeat", f"{total - repeated} postings belong to no entry")
    for says in (*wrong, *wrong_steps(tx.tenant, made, [one.step for one in printed])):
        reader.says("period", says)
    return reader.finish(current_mark(tx))


def _marks(known: Known) -> list[Mark]:
    return [one if isinstance(one, Mark) else Mark(one) for one in known]


def _pages(tx: Tx) -> Iterator[list[tuple[Any, ...]]]:
    """All entries' rows (EntryRow) in the order of `seq`, a page at a time."""
    after = -(2**63)
    while rows := tx.run(_PAGE, {"tenant": tx.tenant, "after": after, "page": PAGE}):
        yield rows
        after = rows[-1][0]


def export(tx: Tx, *, sign: Callable[[Mark], str] | None = None) -> Iterator[str]:
    """The ledger as JSON lines: whose it is, each step of a period, each entry's text with its hash, the head.

    Health information: none; a step has who made it, and why. With `sign` the head's line has a signature too
    (smart/heads.py).
    """
    yield json.dumps({"ledger": FORMAT, "tenant": tx.tenant})
    for row in stored_steps(tx):
        yield json.dumps({"step": row["number"], "hash": row["hash"], "body": row["body"]})
    for entry in map(EntryRow._make, chain.from_iterable(_pages(tx))):
        yield json.dumps({"seq": entry.seq, "hash": entry.hash, "body": entry.body})
    mark = current_mark(tx)
    yield json.dumps({"head": str(mark)} | ({"signature": sign(mark)} if sign else {}))


def verify_export(lines: Iterable[str], *, known: Known = (), keys: KeySet | None = None) -> Report:
    """What `verify` says of texts, hashes, controls and periods, from an export alone. Raises MessageInvalid with the
    line.

    With `keys`, the head has to be signed by one of them, as the head of this tenant's ledger.
    """
    reader: Reader | None = None
    stated: Mark | None = None
    signature = ""
    printed, made = _marks(known), list[Step]()
    closed: Closed | None = None
    for number, line in enumerate(filter(str.strip, lines), start=1):
        match _line(line, number):
            case {"ledger": 1, "tenant": str(tenant)} if number == 1:
                reader = Reader(tenant, [one.head for one in printed])
            case {"step": int(at), "hash": str(stored_hash), "body": str(text)} if (
                reader and not stated and not closed and at is not True
            ):
                step = step_of(text, stored_hash)
                if step is None or step.number != at:
                    raise MessageInvalid("this is no step of a period", location=f"line {number}")
                made.append(step)
                reader.expect(step.head)
            case {"seq": int(seq), "hash": str(stored_hash), "body": str(text)} if (
                reader and not stated and seq is not True
            ):
                closed = closed or Closed(made)
                body = reader.take(seq, text, stored_hash)
                if body is not None and (says := closed.wrong(seq, str(body["business_date"]), text)):
                    reader.says("period", says, seq)
            case {"head": str(head), **more} if reader and not stated and str(Mark.parse(head)) == head:
                stated, signature = Mark.parse(head), str(more.get("signature", ""))
            case _:
                raise MessageInvalid("this is not a line of a ledger export", location=f"line {number}")
    if reader is None:
        raise MessageInvalid("the export is empty", location="line 1")
    if stated is None:
        reader.says("head", "the export ends without its head: its tail is missing")
        stated = Mark(reader.head, Head(made[-1].number, made[-1].hash) if made else Head())
    for says in wrong_steps(reader.tenant, made, [stated.step, *(one.step for one in printed)]):
        reader.says("period", says)
    if made and stated.step.seq < made[-1].number:
        reader.says("period", f"the head says that the steps end at {stated.step.seq}, there are {made[-1].number}")
    if keys is not None:
        _signed(reader, stated, signature, keys)
    return reader.finish(stated)


def _signed(reader: Reader, stated: Mark, signature: str, keys: KeySet) -> None:
    if not signature:
        return reader.says("signature", "the head is not signed")
    try:
        signed = heads.read(signature, keys)
    except MessageInvalid as error:
        return reader.says("signature", error.message)
    if (signed.tenant, signed.head) != (reader.tenant, str(stated)):
        reader.says("signature", f"what is signed is the head {signed.head} of '{signed.tenant}'")


def _line(line: str, number: int) -> Any:
    """Byte for byte what `export` writes: a line that only means the same has been through other hands."""
    try:
        found = json.loads(line)
        as_written = json.dumps(found)
    except ValueError:
        raise MessageInvalid("this is not a line of JSON", location=f"line {number}") from None
    if as_written != line.rstrip("\r\n"):
        raise MessageInvalid("this is not as an export writes it", location=f"line {number}")
    return found
