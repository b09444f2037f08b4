"""What stands on the worklist, and the command beside it as printed: it takes the line off, or shows what it is of.

Lines of settlement, reconciling and the bank come about here as anywhere; of the other kinds a line is put there.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bank_files import csv_of
from bank_world import KEY
from desk_world import TENANT, account, cash, check, usd
from fhirpay.bank import store as bank
from fhirpay.billing import worklist
from fhirpay.db.unit import Tx, Units, open_database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.settlement import LineKind
from fhirpay.payments import store
from fhirpay.reconciliation.kinds import KINDS
from fhirpay.usecases import bank_bag, desk, desk_list
from fhirpay.usecases.reconcile import Reconcile
from fhirpay.usecases.take_bank_file import TakeBankFile
from paid_out_world import line, listed_of, practice, pull_of, three_payments

Run = Callable[..., tuple[int, list[str]]]
CONFIG = """
database = "sqlite:///{folder}/x.db"
hash_key = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
log_level = "ERROR"
[[tenants]]
name = "main"
[[tenants.facilities]]
name = "main"
merchant = "main"
[[tenants.merchants]]
name = "main"
processor = "simulated"
base_url = "http://127.0.0.1:1"
secret_key = "k"
private_network = true
timeout_s = 1
[[tenants.tills]]
name = "front"
facility = "main"
[[tenants.bank_accounts]]
name = "main"
format = "csv"
[tenants.bank_accounts.csv]
day = "Date"
day_format = "%m/%d/%Y"
amount = "Amount"
text = ["Description", "Memo"]
reference = "Ref"
"""
CLOCK = FrozenClock(datetime(2026, 11, 20, 15, 0, tzinfo=UTC))
# What a person puts for the words in capitals.
WORDS = {
    "NAME": "kim",
    "WHY": "looked at it",
    "FILE": "november.csv",
    "LINE": "bnk1",
    "PAYOUT": "po_other01",
    "DAY": "2026-11-01",
}


def kept(folder: Path, story: Callable[[Units], Awaitable[Any]]) -> Any:
    """What a story comes to in the database of the commands."""

    async def main() -> Any:
        clock = FrozenClock(CLOCK.now())
        database = open_database(f"sqlite:///{folder}/x.db", clock=clock, ids=CountedIds(), database_clock=False)
        await database.start()
        try:
            return await story(database.units("main"))
        finally:
            await database.stop()

    return asyncio.run(main())


async def _breaks(units: Units) -> None:
    """Settlement, reconciling, the bank and the desk, each with what doesn't agree."""
    tenant = practice()
    await three_payments(units)
    listed = await listed_of(units)
    await pull_of(units, tenant, listed).pull("main")
    found = await units.read(store.of_account, "Account/ana")
    eighty, fifty = (next(one.payment_id for one in found if one.amount == usd(minor)) for minor in (80_00, 50_00))
    listed.has("po_other01", 10_00, line("l7", 10_00, 0, payment=eighty), day="2026-11-10")
    listed.has("po_twice01", 45_00, line("l8", 45_00, 0, payment=fifty), day="2026-11-10")
    listed.has("po_less01", 20_00, line("l10", 20_00, 0, kind=LineKind.OTHER), day="2026-11-10")
    await pull_of(units, tenant, listed).pull("main")
    lines = [("2026-11-03", 9_00, "R2", "RENT"), ("2026-11-10", 19_00, "R3", "ACH po_less01")]
    lines += [("2026-11-10", 45_00, "", "DEPOSIT")] * 2
    lines += [("2026-11-19", -1_00, "Z", "FEE")]
    await TakeBankFile(units, tenant, KEY).take("main", "statement.csv", csv_of(lines))
    await Reconcile(units, tenant).look()


LINE_OF = {"bank_ambiguous": 45_00, "payout_differs_at_bank": 19_00}  # the bank line that a person would name


def _by_amount(tx: Tx) -> dict[int, str]:
    return {one.amount.minor: one.line_id for one in bank.some(tx, "main", unmatched=True, limit=9)}


def _typed(command: str) -> list[str]:
    return [WORDS.get(word, word) for word in shlex.split(command)[1:]]


def test_what_stands_on_the_list_is_shown_or_taken_off_by_the_command_beside_it(run: Run, config: Path) -> None:
    assert run("migrate")[0] == 0
    kept(config.parent, _breaks)
    listed = kept(config.parent, lambda units: units.read(desk_list.read)).lines
    kinds = {one.kind for one in listed}
    assert kinds >= {"settlement_adjustment", "payout_sum", "payout_failed", "amount_differs", "bank_line_of_nobody"}
    assert kinds >= {"payout_not_at_bank", "payout_differs_at_bank", "bank_ambiguous"}
    lines = kept(config.parent, lambda units: units.read(_by_amount))
    for one in listed:
        words = _typed(one.command.replace(" LINE ", f" {lines[LINE_OF.get(one.kind, 9_00)]} "))
        status, said = run(*words)
        if words[:2] == ["worklist", "done"] or one.kind == "bank_ambiguous":
            left = {line.line_id for line in kept(config.parent, lambda units: units.read(desk_list.read)).lines}
            assert (status, one.line_id in left) == (0, False), (one.kind, said)
        elif words[0] == "explain":
            assert (status, words[1] in said[0]) == (0, True), (one.kind, said)
            assert len(said) > 1, (one.kind, said)
        else:  # a sentence says who isn't there, or that the amounts aren't the same: nothing is wrong with the ids
            assert status in (1, 75), (one.kind, words, said)
            assert re.search(r"could not be reached|the lines come to \S+ USD, and the payouts to", said[-1]), one
    assert {one.kind for one in kept(config.parent, lambda units: units.read(desk_list.read)).lines} < kinds


async def _others(units: Units) -> list[tuple[str, str]]:
    """A line of each kind that is done by being marked so, on the worklist and as a break."""

    def put(tx: Tx) -> list[tuple[str, str]]:
        rows: list[tuple[str, str]] = []
        for kind in (one.name for one in KINDS.values() if one.command.startswith("fhirpay worklist done {line}")):
            item = worklist.open_item(tx, kind=kind, subject=f"{kind} 1", says="it differs")
            key = f"opn merchant:po_1:{kind}:line 1"  # of a merchant of that name
            store.open_break(tx, key, kind, "it differs", merchant="main")
            rows += [(kind, item), (kind, key)]
        return rows

    return await units.write(put)


def test_each_kind_is_marked_done_by_its_own_id_or_has_a_command_that_can_be_typed_whole(
    run: Run, config: Path
) -> None:
    assert run("migrate")[0] == 0

    async def all_done(units: Units) -> list[str]:
        rows = await _others(units)
        for _, line_id in rows[1:]:
            await units.write(desk_list.done, line_id, by="kim", why="seen")
        return [rows[0][1], *(one.line_id for one in (await units.read(desk_list.read)).lines)]

    first, left = kept(config.parent, all_done)
    assert first == left
    assert run("worklist", "done", first, "--by", "kim", "--reason", "seen")[0] == 0
    # The others as they stand in the table; those that talk to somebody end in a sentence.
    ids = {"line": "wrk1", "subject": "main", "account": "Account/ana", "merchant": "main"}
    for row in KINDS.values():
        words = _typed(row.command_for(ids))
        if words[:2] == ["worklist", "done"] or words[0] in ("explain", "doctor"):
            continue
        status, said = run(*words)
        assert "Usage" not in "".join(said), (row.name, words, said)
        assert status == 0 or said[-1].startswith("fhirpay: "), (row.name, words, status, said)
        assert "Traceback" not in "".join(said), (row.name, said)


async def _bag(units: Units) -> str:
    def pack(tx: Tx) -> str:
        ref = account(tx, "ana", 300_00)
        paid = desk.take(tx, desk.DeskPayment(ref, check(), usd(40_00)), TENANT)
        desk.take(tx, desk.DeskPayment(ref, cash(), usd(10_00)), TENANT)
        return bank_bag.pack(tx, bank_bag.NewBag("main", "ann", checks=(paid,), slip="S-7"), TENANT)

    return await units.write(pack)


def test_explain_goes_on_to_payout_bank_line_and_bag_and_says_what_is_none(run: Run, config: Path) -> None:
    assert run("migrate")[0] == 0

    def said(some_id: str) -> str:
        status, lines = run("explain", some_id)
        assert status == 0, lines
        return "\n".join(lines)

    async def story(units: Units) -> dict[str, str]:
        await _breaks(units)
        found = await units.read(lambda tx: store.of_account(tx, "Account/ana"))
        ids = {f"line {minor}": line for minor, line in (await units.read(_by_amount)).items()}
        return ids | {"payment": found[0].payment_id, "bag": await _bag(units)}

    ids = kept(config.parent, story)
    assert "po_right01" in said("po_right01")
    assert "payout po_short01 of 60.00 USD to merchant 'main', paid" in said("po_short01")
    assert "l5" in said("po_short01")
    assert "po_back01 of 20.00 USD to merchant 'main', failed" in said("po_back01")
    assert "of nothing yet" in said(ids["line 900"])
    assert "of 40.00 USD, 2026-11-20, slip S-7" in said(ids["bag"])
    assert "payout po_" in said(ids["payment"])
    (chain,) = json.loads(run("explain", "po_short01", "--json")[1][0])["chain"][-1:]
    assert (chain["kind"], chain["amount"], chain["state"]) == ("payout", "60.00", "paid")
    for nothing in ("po_none", "bnk404", "bag404", "cls404", " ", "'; DROP", "a\x00b", "x" * 3000):
        status, lines = run("explain", nothing)
        assert (status, len(lines)) == (1, 1)
        assert "is no message, resource, obligation, payment, refund, dispute, payout, bank line, bag" in lines[0]
        assert len(lines[0]) < 400
