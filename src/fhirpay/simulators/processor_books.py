"""The simulated processor's own books: payments, refunds, pages, methods, idempotency keys, events. One SQLite file.

Called by the HTTP side (`processor.py`), one transaction a request, `synchronous=FULL`: what was answered has happened
and survives a kill. `Books.totals` is what a test compares a ledger with. Objects are kept as JSON documents, because
nobody but this processor reads them.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Doc = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS thing (
  id TEXT PRIMARY KEY, object TEXT NOT NULL, reference TEXT NOT NULL, seq INTEGER NOT NULL, created REAL NOT NULL,
  body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS thing_reference ON thing (object, reference);
CREATE TABLE IF NOT EXISTS idempotency (
  key TEXT PRIMARY KEY, request TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS movement (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, payment TEXT NOT NULL, amount INTEGER NOT NULL,
  currency TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS line (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, payout TEXT NOT NULL, currency TEXT NOT NULL,
  body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS line_payout ON line (payout);
CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS delivery (
  id INTEGER PRIMARY KEY AUTOINCREMENT, event_seq INTEGER NOT NULL, due REAL NOT NULL, attempts INTEGER NOT NULL,
  state TEXT NOT NULL, answer TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Refused(Exception):
    """An answer that says no: HTTP status, a stable code, a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.body: Doc = {"error": {"code": code, "message": message}}


class Books:
    """Documents by id, and the few queries that the processor's API needs. Use inside `transaction()`."""

    def __init__(
        self,
        path: str | Path = ":memory:",
        *,
        clock: Callable[[], float] = time.time,
        token: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        """`clock` is seconds since 1970, `token(n)` 2n random hexadecimal digits: for who wants to choose them."""
        self._clock = clock
        self.token = token
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000;" + _SCHEMA)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # ── settings and the processor's clock ────────────────────────────────────────────────────────────────────────

    def setting(self, name: str, default: Any = None) -> Any:
        row = self._db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return default if row is None else json.loads(row[0])

    def set(self, name: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, json.dumps(value)))

    def now(self) -> float:
        """This processor's own time: its clock's, moved by what `/control/clock` has advanced."""
        return self._clock() + self.setting("clock_offset_s", 0)

    # ── documents ─────────────────────────────────────────────────────────────────────────────────────────────────

    def new(self, prefix: str, object_: str, reference: str, **fields: Any) -> Doc:
        doc = {"id": f"{prefix}_{self.token(10)}", "object": object_, "reference": reference, **fields}
        doc["created"] = self.now()
        seq = self._db.execute("SELECT COALESCE(MAX(seq), 0) + 1 FROM thing").fetchone()[0]
        values = (doc["id"], object_, reference, seq, doc["created"], json.dumps(doc))
        self._db.execute("INSERT INTO thing VALUES (?, ?, ?, ?, ?, ?)", values)
        return doc

    def save(self, doc: Doc) -> None:
        self._db.execute("UPDATE thing SET body = ? WHERE id = ?", (json.dumps(doc), doc["id"]))

    def get(self, object_: str, id_: str) -> Doc:
        """Raises Refused 404."""
        row = self._db.execute("SELECT body FROM thing WHERE object = ? AND id = ?", (object_, id_)).fetchone()
        if row is None:
            raise Refused(404, "not_found", f"there is no {object_} {id_}")
        return json.loads(row[0])

    def by_reference(self, object_: str, reference: str, *, older_than: float | None = None) -> list[Doc]:
        limit = self.now() + 1 if older_than is None else older_than
        query = "SELECT body FROM thing WHERE object = ? AND reference = ? AND created <= ? ORDER BY seq"
        return [json.loads(row[0]) for row in self._db.execute(query, (object_, reference, limit))]

    def all(self, object_: str) -> list[Doc]:
        query = "SELECT body FROM thing WHERE object = ? ORDER BY seq"
        return [json.loads(row[0]) for row in self._db.execute(query, (object_,))]

    # ── idempotency ───────────────────────────────────────────────────────────────────────────────────────────────

    def replay(self, key: str, request: bytes, *, ttl_s: float) -> tuple[int, Doc] | None:
        """The first answer to this key, while it lives. Raises Refused 409 when the request is another one."""
        row = self._db.execute("SELECT request, status, body, at FROM idempotency WHERE key = ?", (key,)).fetchone()
        if row is None or row[3] + ttl_s <= self.now():
            return None
        if row[0] != hashlib.sha256(request).hexdigest():
            raise Refused(409, "idempotency_conflict", "this key was used for another request")
        return row[1], json.loads(row[2])

    def remember(self, key: str, request: bytes, status: int, body: Doc) -> None:
        values = (key, hashlib.sha256(request).hexdigest(), status, json.dumps(body), self.now())
        self._db.execute("INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?)", values)

    # ── events and their delivery ─────────────────────────────────────────────────────────────────────────────────

    def emit(self, type_: str, doc: Doc) -> None:
        """Record an event and queue its delivery, as the settings of `/control/webhooks` say."""
        now = self.now()
        event = {"id": f"evt_{self.token(10)}", "type": type_, "created": int(now), "data": {"object": doc}}
        values = (event["id"], json.dumps(event))
        seq = self._db.execute("INSERT INTO event (id, body) VALUES (?, ?)", values).lastrowid
        mode = self.setting("webhooks", {})
        if mode.get("drop_next", 0) > 0:
            self.set("webhooks", {**mode, "drop_next": mode["drop_next"] - 1})
            self._queue(seq, now, "dropped")
            return
        due = max(now + mode.get("delay_s", 0), mode.get("silent_until", 0))
        for copy in range(1 + mode.get("duplicates", 0)):
            self._queue(seq, due + copy * 0.01, "waiting")

    def _queue(self, seq: int | None, due: float, state: str) -> None:
        row = (seq, due, 0, state, "")
        self._db.execute("INSERT INTO delivery (event_seq, due, attempts, state, answer) VALUES (?, ?, ?, ?, ?)", row)

    def redeliver(self, event_id: str) -> None:
        row = self._db.execute("SELECT seq FROM event WHERE id = ?", (event_id,)).fetchone()
        if row is None:
            raise Refused(404, "not_found", f"there is no event {event_id}")
        self._queue(row[0], self.now(), "waiting")

    def due_deliveries(self, *, newest_first: bool) -> list[tuple[int, int, bytes]]:
        """(delivery id, attempts, body), in the order in which they are to go out."""
        rows = self._db.execute(
            "SELECT d.id, d.attempts, e.body FROM delivery d JOIN event e ON e.seq = d.event_seq"
            " WHERE d.state = 'waiting' AND d.due <= ? ORDER BY d.event_seq * ?, d.id LIMIT 50",
            (self.now(), -1 if newest_first else 1),
        )
        return [(row[0], row[1], row[2].encode()) for row in rows]

    def delivered(self, delivery: int, state: str, answer: str, *, attempts: int, due: float) -> None:
        row = (state, answer, attempts, due, delivery)
        self._db.execute("UPDATE delivery SET state = ?, answer = ?, attempts = ?, due = ? WHERE id = ?", row)

    def events(self) -> list[Doc]:
        return [json.loads(row[0]) for row in self._db.execute("SELECT body FROM event ORDER BY seq")]

    def listed_events(self, *, since: float, until: float, before: str, limit: int) -> Doc:
        """A page of them, the newest first. Raises Refused for a cursor that is no event's id."""
        found = [one for one in reversed(self.events()) if since <= one["created"] <= until]
        if before:
            ids = [one["id"] for one in found]
            if before not in ids:
                raise Refused(400, "cursor_invalid", f"there is no event {before} in this list")
            found = found[ids.index(before) + 1 :]
        return {"data": found[:limit], "has_more": len(found) > limit}

    def deliveries(self) -> list[Doc]:
        rows = self._db.execute(
            "SELECT e.id, e.body, d.state, d.attempts, d.answer FROM delivery d JOIN event e ON e.seq = d.event_seq"
            " ORDER BY d.id"
        )
        names = ("event", "type", "state", "attempts", "answer")
        return [dict(zip(names, (r[0], json.loads(r[1])["type"], *r[2:]), strict=True)) for r in rows]

    # ── money ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def move(
        self,
        type_: str,
        payment: Doc,
        amount: int,
        *,
        source: str = "",
        line: str = "",
        fee: int = 0,
        reference: str = "",
        payout: str = "",
    ) -> Doc:
        """Money moves: above zero to the merchant, below zero back. By capture, void, refund, refund_failed, return,
        return_reversed, dispute_withdrawn, dispute_reinstated, fee, reserve_held, reserve_released, adjustment, payout,
        payout_failed; with the fee that is taken for it (fee, return_fee, dispute_fee). The line of the balance:
        `source` is what it is of, `reference` the merchant's name of that."""
        now = self.now()
        fee += self._fee_of(amount) if type_ == "capture" else 0
        taken = type_.partition("_")[0] if type_.startswith(("return", "dispute")) else ""
        for kind, minor in ((type_, amount), (f"{taken}_fee".removeprefix("_"), -fee)):
            if minor or kind == type_:
                values = (kind, payment["id"], minor, payment["currency"], now)
                self._db.execute(
                    "INSERT INTO movement (type, payment, amount, currency, at) VALUES (?, ?, ?, ?, ?)", values
                )
        doc = {"id": line or f"bl_{self.token(10)}", "object": "line", "type": type_, "payment": payment["id"]}
        doc |= {"source": source, "reference": reference or payment.get("reference", ""), "amount": amount, "fee": fee}
        doc |= {"currency": payment["currency"], "at": now, "payout": payout}
        self._db.execute(
            "INSERT INTO line (id, payout, currency, body) VALUES (?, ?, ?, ?)",
            (doc["id"], payout, doc["currency"], json.dumps(doc)),
        )
        return doc

    def _fee_of(self, amount: int) -> int:
        """What a capture costs: nothing, unless the settings say (`fees`: per mille, and a fixed part)."""
        fees = self.setting("fees")
        return amount * fees["per_mille"] // 1000 + fees["fixed"] if fees else 0

    def lines(self, *, payout: str = "", currency: str = "") -> list[Doc]:
        """Of a payout, in order; without: those that none has taken."""
        rows = self._db.execute("SELECT body FROM line WHERE payout = ? ORDER BY seq", (payout,))
        docs = [json.loads(row[0]) for row in rows]
        return [doc for doc in docs if currency in ("", doc["currency"])]

    def every_line(self) -> list[Doc]:
        """In order, whether a payout has taken it or not."""
        return [json.loads(row[0]) for row in self._db.execute("SELECT body FROM line ORDER BY seq")]

    def save_line(self, doc: Doc) -> None:
        values = (doc["payout"], json.dumps(doc), doc["id"])
        self._db.execute("UPDATE line SET payout = ?, body = ? WHERE id = ?", values)

    def movements(self) -> list[Doc]:
        """Every movement of money, in order: what a ledger is compared with."""
        names = ("type", "payment", "amount", "currency", "at")
        rows = self._db.execute("SELECT type, payment, amount, currency, at FROM movement ORDER BY seq")
        return [dict(zip(names, row, strict=True)) for row in rows]

    # ── what an auditor would ask ─────────────────────────────────────────────────────────────────────────────────

    def totals(self) -> dict[str, dict[str, int]]:
        """Per currency: money taken, given back, and what this processor holds for the merchant."""
        sums: dict[str, dict[str, int]] = {}
        for one in self.movements():
            line = sums.setdefault(
                one["currency"], {"captured": 0, "voided": 0, "refunded": 0, "returned": 0, "balance": 0}
            )
            line["balance"] += one["amount"]
            if one["type"].startswith(("dispute", "fee", "reserve", "adjustment", "payout")):
                continue
            if one["type"] == "void":
                line["captured"] += one["amount"]
                line["voided"] -= one["amount"]
            elif one["type"] in ("return", "return_reversed"):
                line["returned"] -= one["amount"]
            elif one["type"] != "return_fee":
                line["captured" if one["type"] == "capture" else "refunded"] += abs(one["amount"])
        return sums
