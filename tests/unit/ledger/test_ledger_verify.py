"""Whoever gets past the triggers is seen: by the chain, by the rows beside it, or by a head that was printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import text

from fhirpay.db.metadata import table
from fhirpay.db.unit import Tx, Units
from fhirpay.domain.money import Money
from fhirpay.errors import MessageInvalid, ValueInvalid
from fhirpay.ledger import rules, store
from fhirpay.ledger.chain import Head, canonical, digest
from fhirpay.ledger.rules import When
from fhirpay.ledger.tables import LedgerEntry, LedgerHead, LedgerPosting
from fhirpay.ledger.verify import export, verify, verify_export

pytestmark = pytest.mark.unsound("books that were changed by hand")

WHEN = When(occurred_at=datetime(2026, 3, 2, 12, tzinfo=UTC), business_date=date(2026, 3, 2))
ENTRY, POSTING, HEAD = table(LedgerEntry), table(LedgerPosting), table(LedgerHead)


def usd(dollars: int) -> Money:
    return Money(dollars * 100, "USD")


def post_three(tx: Tx) -> None:
    """A visit: charged, paid, allocated."""
    store.post(tx, rules.charge_self_pay("obl1", "Account/a1", usd(80), **WHEN), key="charge/obl1")
    store.post(tx, rules.capture("pay1", "main", usd(80), **WHEN), key="capture/pay1")
    store.post(tx, rules.allocate("pay1", "obl1", usd(80), account_ref="Account/a1", **WHEN), key="allocate/pay1")


def break_in(tx: Tx) -> None:
    for name in ("ledger_entry", "ledger_posting", "ledger_head"):
        for action in ("update", "delete"):
            on = f" ON {name}" if tx.dialect == "postgresql" else ""
            tx.execute(text(f"DROP TRIGGER {name}_{action}{on}"))


def rewrite(tx: Tx, seq: int, change: Callable[[dict[str, object]], None], *, rehash: bool) -> None:
    """Change a text; with `rehash` as somebody would who knows how the hash is made."""
    row = tx.one(ENTRY.select().where(ENTRY.c.seq == seq))
    assert row is not None
    body = json.loads(row["body"])
    change(body)
    values = {"body": canonical(body)} | ({"hash": digest(canonical(body))} if rehash else {})
    tx.execute(ENTRY.update().where(ENTRY.c.seq == seq).values(values))


def double(body: dict[str, object]) -> None:
    for leg in body["postings"]:  # type: ignore[attr-defined]
        leg["minor"] *= 2


def delete(tx: Tx, seq: int) -> None:
    entry_id = tx.scalar(ENTRY.select().with_only_columns(ENTRY.c.entry_id).where(ENTRY.c.seq == seq))
    tx.execute(POSTING.delete().where(POSTING.c.entry_id == entry_id))
    tx.execute(ENTRY.delete().where(ENTRY.c.entry_id == entry_id))


def set_head(tx: Tx, seq: int) -> None:
    hashed = tx.scalar(ENTRY.select().with_only_columns(ENTRY.c.hash).where(ENTRY.c.seq == seq))
    tx.execute(HEAD.update().values(seq=seq, hash=hashed))


def change_a_row(tx: Tx) -> None:
    tx.execute(POSTING.update().where(POSTING.c.account == "processor_clearing").values(amount_minor=1))


def change_a_column(tx: Tx) -> None:
    tx.execute(ENTRY.update().where(ENTRY.c.seq == 2).values(business_date="2026-03-03"))


def change_a_text(tx: Tx) -> None:
    rewrite(tx, 2, double, rehash=False)


def change_a_text_and_its_hash(tx: Tx) -> None:
    rewrite(tx, 2, double, rehash=True)


def unbalance_a_text(tx: Tx) -> None:
    rewrite(tx, 2, lambda body: body["postings"][0].update(minor=1), rehash=True)  # type: ignore[index,union-attr]


def write_nonsense(tx: Tx) -> None:
    tx.execute(ENTRY.update().where(ENTRY.c.seq == 2).values(body="{}"))


def drop_an_entry(tx: Tx) -> None:
    delete(tx, 2)


def drop_a_posting(tx: Tx) -> None:
    tx.execute(POSTING.delete().where(POSTING.c.account == "processor_clearing"))


def swap_two(tx: Tx) -> None:
    for here, there in ((2, 9), (3, 2), (9, 3)):
        tx.execute(ENTRY.update().where(ENTRY.c.seq == here).values(seq=there))


def cut_the_tail(tx: Tx) -> None:
    delete(tx, 3)


CHANGES = {
    change_a_row: {"repeat"},
    change_a_column: {"repeat"},
    change_a_text: {"chain", "repeat"},
    change_a_text_and_its_hash: {"chain", "repeat"},
    unbalance_a_text: {"chain", "balance", "repeat"},
    write_nonsense: {"chain"},
    drop_an_entry: {"chain"},
    drop_a_posting: {"repeat"},
    swap_two: {"chain"},
    cut_the_tail: {"head"},
}


@pytest.mark.parametrize(("change", "kinds"), CHANGES.items(), ids=lambda value: getattr(value, "__name__", ""))
async def test_a_change_is_found(units: Units, change: Callable[[Tx], None], kinds: set[str]) -> None:
    await units.write(post_three)
    assert (await units.read(verify)).ok
    await units.write(break_in)
    await units.write(change)
    report = await units.read(verify)
    assert not report.ok
    assert kinds <= {problem.kind for problem in report.problems}, [str(p) for p in report.problems]


def cut_the_tail_and_move_the_head(tx: Tx) -> None:
    delete(tx, 3)
    set_head(tx, 2)


def forge_the_tail(tx: Tx) -> None:
    """The last entry doubled in all its places: consistent in itself."""
    rewrite(tx, 3, double, rehash=True)
    tx.execute(POSTING.update().where(POSTING.c.payment_id == "pay1").values(amount_minor=160_00))
    rewrite(tx, 2, double, rehash=True)
    hashed = tx.scalar(ENTRY.select().with_only_columns(ENTRY.c.hash).where(ENTRY.c.seq == 2))
    rewrite(tx, 3, lambda body: body.update(prev=hashed), rehash=True)
    set_head(tx, 3)


@pytest.mark.parametrize("change", [cut_the_tail_and_move_the_head, forge_the_tail], ids=lambda f: f.__name__)
async def test_what_is_consistent_in_itself_still_differs_from_a_printed_head(
    units: Units, change: Callable[[Tx], None]
) -> None:
    await units.write(post_three)
    printed = Head.parse(str(await units.read(store.head)))
    await units.write(break_in)
    await units.write(change)
    assert {problem.kind for problem in (await units.read(verify)).problems} <= {"control"}
    report = await units.read(lambda tx: verify(tx, known=[printed]))
    assert "head" in {problem.kind for problem in report.problems}
    lines = await units.read(lambda tx: list(export(tx)))
    assert "head" in {problem.kind for problem in verify_export(lines, known=[printed]).problems}


async def test_heads_printed_on_the_way_stay_true(units: Units) -> None:
    heads = [await units.read(store.head)]
    await units.write(post_three)
    heads.append(await units.read(store.head))
    await units.write(store.post, rules.fee("main", usd(2), **WHEN), key="fee/1")
    heads.append(await units.read(store.head))
    assert [head.seq for head in heads] == [0, 3, 4]
    assert (await units.read(lambda tx: verify(tx, known=heads))).ok


async def test_the_control_equations_are_checked(units: Units) -> None:
    def overpay(tx: Tx) -> None:
        store.post(tx, rules.capture("pay1", "main", usd(50), **WHEN), key="capture/pay1")
        store.post(tx, rules.allocate("pay1", "obl1", usd(60), account_ref="Account/a1", **WHEN), key="allocate/1")
        store.post(tx, rules.charge_credited("obl2", "Account/a1", usd(5), stands_in="ar_pending", **WHEN), key="cr/1")
        store.post(tx, rules.refund_taken("pay1", "ref1", "main", usd(7), **WHEN), key="refund/1")

    await units.write(overpay)
    report = await units.read(verify)
    assert [str(problem) for problem in report.problems] == [
        "control: ar_patient of obligation obl1 is -6000 USD (minor units)",
        "control: ar_pending of account_ref Account/a1 is -500 USD (minor units)",
        "control: refunds_payable of refund ref1 is -700 USD (minor units)",
        "control: unapplied_credit of payment pay1 is -1000 USD (minor units)",
    ]


async def test_an_export_needs_nothing_else(units: Units) -> None:
    await units.write(post_three)
    lines = await units.read(lambda tx: list(export(tx)))
    assert len(lines) == 5
    report = verify_export(lines)
    assert report.ok
    assert (report.entries, report.head) == (3, await units.read(store.head))
    assert str(report.head) in lines[-1]
    assert [problem.kind for problem in verify_export(lines[:-1]).problems] == ["head"]


@pytest.mark.parametrize(
    ("lines", "where"),
    [
        ([], "line 1"),
        (["not JSON"], "line 1"),
        (['{"head": "0:0"}'], "line 1"),
        (['{"ledger": 1, "tenant": "main"}', "[]"], "line 2"),
        (['{"ledger": 1, "tenant": "main"}', '{"ledger": 1, "tenant": "main"}'], "line 2"),
        (['{"ledger": 7, "tenant": "main"}'], "line 1"),
    ],
)
def test_what_is_no_export_is_refused_by_line(lines: list[str], where: str) -> None:
    with pytest.raises(MessageInvalid) as refused:
        verify_export(lines)
    assert refused.value.location == where


@pytest.mark.parametrize("printed", ["", "42", "42:abc", "x:" + "0" * 64, "²:" + "0" * 64])
def test_a_head_that_was_misread_is_refused(printed: str) -> None:
    with pytest.raises(ValueInvalid, match="ledger head"):
        Head.parse(printed)


def test_the_text_is_canonical() -> None:
    assert canonical({"b": 1, "a": {"d": "é", "c": []}}) == '{"a":{"c":[],"d":"\\u00e9"},"b":1}'
