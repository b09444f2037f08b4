"""Are the books whole? The chain, the balance of each entry and the control equations: online, and from an export.

Called by `fhirpay ledger verify`, nightly, from the desk and at the end of tests. It changes nothing.

Offline, `verify_export` needs nothing but the lines that `export` wrote and, to prove that nothing was cut off the
end, a head that was printed elsewhere; and, to prove whose it is, our public keys.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from joserfc.jwk import KeySet
from sqlalchemy import RowMapping, bindparam, func, select

from ..db.metadata import table
from ..db.types import micros
from ..db.unit import Tx
from ..errors import MessageInvalid
from ..smart import heads
from .chain import FORMAT, Head
from .check import Reader, Report
from .store import head as current_head
from .store import pages, posting_rows
from .tables import LedgerEntry, LedgerPosting

_entry, _posting = table(LedgerEntry), table(LedgerPosting)
_COUNT = select(func.count()).select_from(_posting).where(_posting.c.tenant_id == bindparam("tenant"))
_BETWEEN = (
    select(_posting)
    .join(_entry, (_entry.c.tenant_id == _posting.c.tenant_id) & (_entry.c.entry_id == _posting.c.entry_id))
    .where(_entry.c.tenant_id == bindparam("tenant"), _entry.c.seq.between(bindparam("first"), bindparam("last")))
    .order_by(_entry.c.seq, _posting.c.line)
)
_REPEATED = ("entry_id", "key", "kind", "business_date")


def verify(tx: Tx, *, known: Iterable[Head] = ()) -> Report:
    """The whole ledger of this tenant: its texts, and that every row beside them says the same.

    `known` are heads printed earlier: a chain that was cut or rewritten since then shows.
    """
    reader = Reader(tx.tenant, known)
    repeated = 0
    for page in pages(tx):
        stored = _postings(tx, page[0]["seq"], page[-1]["seq"])
        for row in page:
            body = reader.take(row["seq"], row["body"], row["hash"])
            postings = stored.get(row["entry_id"], [])
            repeated += len(postings)
            if body is not None and not _repeats(row, postings, body):
                reader.says("repeat", "its rows say something else than its text", row["seq"])
    total = tx.scalar(_COUNT, tenant=tx.tenant)
    if total != repeated:
        reader.says("repeat", f"{total - repeated} postings belong to no entry")
    return reader.finish(current_head(tx))


def _postings(tx: Tx, first: int, last: int) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in tx.all(_BETWEEN, first=first, last=last):
        found.setdefault(row["entry_id"], []).append(dict(row))
    return found


def _repeats(row: RowMapping, postings: list[dict[str, Any]], body: Mapping[str, Any]) -> bool:
    return (
        all(row[name] == body[name] for name in _REPEATED)
        and all(micros(row[name]) == body[name] for name in ("occurred_at", "recorded_at"))
        and postings == posting_rows(row["tenant_id"], row["entry_id"], body["postings"])
    )


def export(tx: Tx, *, sign: Callable[[Head], str] | None = None) -> Iterator[str]:
    """The ledger as JSON lines: whose it is, each entry's text with its hash, the head. Health information: none.

    With `sign` the head's line has a signature too (smart/heads.py).
    """
    yield json.dumps({"ledger": FORMAT, "tenant": tx.tenant})
    for page in pages(tx):
        for row in page:
            yield json.dumps({"seq": row["seq"], "hash": row["hash"], "body": row["body"]})
    head = current_head(tx)
    yield json.dumps({"head": str(head)} | ({"signature": sign(head)} if sign else {}))


def verify_export(lines: Iterable[str], *, known: Iterable[Head] = (), keys: KeySet | None = None) -> Report:
    """What `verify` says of texts, hashes and controls, from an export alone. Raises MessageInvalid with the line.

    With `keys`, the head has to be signed by one of them, as the head of this tenant's ledger.
    """
    reader: Reader | None = None
    stated: Head | None = None
    signature = ""
    for number, line in enumerate(filter(str.strip, lines), start=1):
        match _line(line, number):
            case {"ledger": 1, "tenant": str(tenant)} if number == 1:
                reader = Reader(tenant, known)
            case {"seq": int(seq), "hash": str(stored_hash), "body": str(text)} if (
                reader and not stated and seq is not True
            ):
                reader.take(seq, text, stored_hash)
            case {"head": str(head), **more} if reader and not stated:
                stated, signature = Head.parse(head), str(more.get("signature", ""))
            case _:
                raise MessageInvalid("this is not a line of a ledger export", location=f"line {number}")
    if reader is None:
        raise MessageInvalid("the export is empty", location="line 1")
    if stated is None:
        reader.says("head", "the export ends without its head: its tail is missing")
        stated = reader.head
    if keys is not None:
        _signed(reader, stated, signature, keys)
    return reader.finish(stated)


def _signed(reader: Reader, stated: Head, signature: str, keys: KeySet) -> None:
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
