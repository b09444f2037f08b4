"""A constant statement gives what `Connection` gives: the same rows, of the same types, on both engines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert

from fhirpay.db.metadata import table
from fhirpay.db.unit import Prepared, Tx, Units
from fhirpay.flow.tables import WorkRow

_work = table(WorkRow)
_TENANT = _work.c.tenant_id == bindparam("tenant")
MOMENT = datetime(2026, 11, 20, 15, 0, 0, 123456, tzinfo=UTC)
BY_ID = select(_work).where(_TENANT, _work.c.work_id == bindparam("work"))
SINCE = select(_work).where(_TENANT, _work.c.due >= bindparam("since")).order_by(_work.c.work_id)
AMONG = select(_work).where(_TENANT, _work.c.work_id.in_(bindparam("works", expanding=True))).order_by(_work.c.work_id)
AT = select(_work.c.work_id).where(_TENANT, _work.c.due.in_(bindparam("days", expanding=True))).order_by(_work.c.due)
NUMBER = select(func.count().label("items")).select_from(_work).where(_TENANT, _work.c.held == bindparam("held"))
FIRST = select(_work.c.work_id).where(_TENANT, _work.c.queue == bindparam("q")).order_by(_work.c.due.desc()).limit(1)
PUT = insert(_work).on_conflict_do_nothing()
SET = update(_work).where(_TENANT, _work.c.queue == bindparam("q"))
BY_QUEUE = select(_work).where(_TENANT, _work.c.queue == bindparam("q")).order_by(_work.c.work_id)
MOVE = (
    update(_work)
    .where(_TENANT, _work.c.work_id == bindparam("work"))
    .values(due=bindparam("to"), owner=None, held=True)
    .returning(_work.c.due, _work.c.owner, _work.c.held)
)


def fill(tx: Tx) -> None:
    row: dict[str, Any] = {
        "tenant_id": tx.tenant,
        "queue": "outbox",
        "kind": "job",
        "ref": "it's 100 %",
        "state": "ready",
    }
    row |= {"claim_at": None, "waits": 0, "attempt": 0, "fence": 0, "places": "[]", "owner": "me"}
    for number in range(3):
        at = MOMENT + timedelta(days=number)
        row |= {"work_id": f"wrk{number}", "due": at, "created_at": at, "changed_at": at, "held": number == 1}
        tx.execute(insert(_work).values(row))


@pytest.fixture
async def filled(units: Units) -> Units:
    await units.write(fill)
    return units


@pytest.mark.parametrize(
    ("statement", "given"),
    [
        (BY_ID, {"work": "wrk1"}),
        (BY_ID, {"work": "none"}),
        (SINCE, {"since": MOMENT + timedelta(days=1)}),
        (AMONG, {"works": ["wrk0", "wrk2"]}),
        (AMONG, {"works": []}),
        (AT, {"days": [MOMENT, MOMENT + timedelta(days=2)]}),
        (NUMBER, {"held": True}),
        (FIRST, {"q": "outbox"}),
    ],
)
async def test_it_reads_what_a_connection_reads(filled: Units, statement: Any, given: dict[str, Any]) -> None:
    def read(tx: Tx) -> None:
        rows = list(tx.execute(statement, {"tenant": tx.tenant, **given}).mappings())
        for _ in range(2):
            found = tx.all(statement, **given)
            assert [dict(row) for row in found] == [dict(row) for row in rows]
            assert [list(map(type, row.values())) for row in found] == [list(map(type, row.values())) for row in rows]
            assert tx.one(statement, **given) == (rows[0] if rows else None)
            assert tx.scalar(statement, **given) == (next(iter(rows[0].values())) if rows else None)

    await filled.read(read)


async def test_it_changes_and_says_what_it_has_changed(filled: Units) -> None:
    moved = await filled.write(lambda tx: dict(tx.one(MOVE, work="wrk0", to=MOMENT + timedelta(days=9)) or {}))
    assert moved == {"due": MOMENT + timedelta(days=9), "owner": None, "held": True}
    assert await filled.read(lambda tx: tx.scalar(FIRST, q="outbox")) == "wrk0"
    assert await filled.write(lambda tx: tx.one(MOVE, work="none", to=MOMENT)) is None


async def test_rows_are_put_with_the_columns_that_they_name_and_the_defaults_of_the_others(filled: Units) -> None:
    def put(tx: Tx) -> list[dict[str, Any]]:
        row: dict[str, Any] = {"tenant_id": tx.tenant, "queue": "inbox", "kind": "job", "ref": "x", "state": "ready"}
        row |= {"waits": 0, "attempt": 0, "fence": 0, "places": "[]", "created_at": MOMENT, "changed_at": MOMENT}
        rows = [{**row, "work_id": f"put{number}", "due": MOMENT} for number in range(3)]
        assert tx.put(PUT) == 0
        assert tx.put(PUT, rows[0]) == 1
        assert tx.put(PUT, *rows[1:]) == 2
        assert tx.put(PUT, *rows) == 0
        assert tx.put(PUT, {**rows[0], "work_id": "put9", "held": True}) == 1
        assert tx.put(SET, {"tenant": tx.tenant, "q": "inbox", "due": MOMENT + timedelta(days=1), "owner": None}) == 4
        return [dict(one) for one in tx.all(BY_QUEUE, q="inbox")]

    found = await filled.write(put)
    assert [one["work_id"] for one in found] == ["put0", "put1", "put2", "put9"]
    assert [one["held"] for one in found] == [False, False, False, True]
    assert {one["due"] for one in found} == {MOMENT + timedelta(days=1)}
    assert {one["owner"] for one in found} == {None}


DELAY = Prepared(update(_work).where(_TENANT, _work.c.work_id == bindparam("work")).values(kind=bindparam("to")))


def _by_put(tx: Tx) -> None:
    tx.put(SET, {"tenant": tx.tenant, "q": "outbox", "kind": "other"})


def _by_prepared(tx: Tx) -> None:
    tx.change(DELAY, {"tenant": tx.tenant, "work": "wrk1", "to": "other"})


def _by_run(tx: Tx) -> None:
    tx.run(DELAY, {"tenant": tx.tenant, "work": "wrk1", "to": "other"})


def _by_core(tx: Tx) -> None:
    tx.execute(update(_work).where(_work.c.tenant_id == tx.tenant).values(kind="other"))


def _by_returning(tx: Tx) -> None:
    assert tx.one(RENAME, work="wrk1", to="other") is not None


RENAME = (
    update(_work)
    .where(_TENANT, _work.c.work_id == bindparam("work"))
    .values(kind=bindparam("to"))
    .returning(_work.c.kind)
)


@pytest.mark.parametrize("change", [_by_put, _by_prepared, _by_run, _by_core, _by_returning])
async def test_what_a_unit_has_changed_it_reads_again(filled: Units, change: Callable[[Tx], None]) -> None:
    def unit(tx: Tx) -> None:
        among = {"works": ["wrk0", "wrk1"]}
        before = tx.one(BY_ID, work="wrk1"), tx.all(AMONG, **among), tx.scalar(FIRST, q="outbox")
        assert (tx.one(BY_ID, work="wrk1"), tx.all(AMONG, **among), tx.scalar(FIRST, q="outbox")) == before
        change(tx)
        row = tx.one(BY_ID, work="wrk1")
        assert row is not None
        assert row["kind"] == "other"
        assert [one["kind"] for one in tx.all(AMONG, **among)][1] == "other"

    await filled.write(unit)


async def test_what_a_unit_was_given_is_its_own_to_change(filled: Units) -> None:
    def unit(tx: Tx) -> int:
        tx.all(SINCE, since=MOMENT).clear()
        return len(tx.all(SINCE, since=MOMENT))

    assert await filled.write(unit) == 3


async def test_on_sqlite_a_unit_reads_once_what_nobody_can_have_changed(filled: Units) -> None:
    """On PostgreSQL somebody may have: there every read goes out."""

    def unit(tx: Tx) -> int:
        said: list[str] = []
        if tx.dialect == "postgresql":
            return 1
        tx._raw.set_trace_callback(said.append)
        for _ in range(3):
            tx.one(BY_ID, work="wrk1")
        tx._raw.set_trace_callback(None)
        return len(said)

    assert await filled.write(unit) == 1
