"""`fhirpay ledger`: balances of the world and of the record; heads and exports that are signed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fhirpay.cli.main import app
from fhirpay.db.unit import Tx, open_database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import RandomIds
from fhirpay.domain.money import Money
from fhirpay.ledger import rules, store
from fhirpay.smart.keys import Algorithm, new_private_key

CONFIG = """
database = "sqlite:///{folder}/x.db"
hash_key = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
log_level = "ERROR"
[[tenants]]
name = "main"
[[tenants.facilities]]
name = "main"
zone = "America/New_York"
merchant = "main"
[[tenants.merchants]]
name = "main"
processor = "stripe"
secret_key = "sk_test_none"
"""
Run = Callable[..., tuple[int, list[str]]]
APRIL_2 = datetime(2026, 4, 2, 3, 30, tzinfo=UTC)  # still the first of April in New York


def post_two(tx: Tx) -> None:
    for number, day in ((1, date(2026, 3, 31)), (2, date(2026, 4, 1))):
        when = datetime(2026, 3, 31, 12, number, tzinfo=UTC)
        entry = rules.capture(f"pay{number}", "m", Money(number * 100_05, "USD"), occurred_at=when, business_date=day)
        store.post(tx, entry, key=f"capture/{number}")


@pytest.fixture
def posted(run: Run, config: Path) -> None:
    assert run("migrate")[0] == 0

    async def main() -> None:
        clock = FrozenClock(APRIL_2)
        url = f"sqlite:///{config.parent}/x.db"
        database = open_database(url, clock=clock, ids=RandomIds(clock), database_clock=False)
        await database.start()
        await database.units("main").write(post_two)
        await database.stop()

    asyncio.run(main())


@pytest.mark.usefixtures("posted")
def test_balances_are_those_of_the_day(run: Run) -> None:
    march = ["processor_clearing  100.05 USD", "unapplied_credit  100.05 USD"]
    assert run("ledger", "balances", "--as-of", "2026-03-31") == (0, march)
    assert run("ledger", "balances", "--as-of", "2026-03-31T12:01:30Z") == (0, march)
    assert run("ledger", "balances", "--recorded-by", "1") == (0, march)
    assert run("ledger", "balances", "--recorded-by", "2026-03-31") == (0, [])
    whole = ["account,payment,currency,amount", "unapplied_credit,pay1,USD,100.05", "unapplied_credit,pay2,USD,200.10"]
    words = ("ledger", "balances", "--by", "payment", "--account", "unapplied_credit", "--recorded-by", "2026-04-01")
    assert run(*words, "--csv") == (0, whole)
    status, lines = run(*words, "--as-of", "2026-03-31", "--json")
    told = {"account": "unapplied_credit", "payment": "pay1", "amount": "100.05", "currency": "USD"}
    assert (status, [json.loads(one) for one in lines]) == (0, [told])


@pytest.mark.usefixtures("posted")
def test_what_the_books_don_t_keep_is_a_sentence(run: Run) -> None:
    assert "are not kept by colour" in run("ledger", "balances", "--by", "colour")[1][-1]
    assert "is not in the chart" in run("ledger", "balances", "--account", "gold")[1][-1]
    assert run("ledger", "balances", "--as-of", "2026-02-30")[0] == 2


@pytest.mark.usefixtures("posted")
def test_an_export_is_signed_and_a_printed_head_shows_a_lost_tail(run: Run, config: Path, tmp_path: Path) -> None:
    assert len(run("ledger", "head")[1]) == 1  # no keys: not signed
    key, jwks, file = tmp_path / "key.pem", tmp_path / "jwks.json", tmp_path / "ledger.jsonl"
    key.write_text(new_private_key(Algorithm.ES384))
    config.write_text(config.read_text() + f'[[tenants.keys]]\nprivate_key = "{key}"\n')
    jwks.write_text("\n".join(run("keys", "jwks")[1]))
    _, (head, signed) = run("ledger", "head")
    lines = run("ledger", "export")[1]
    file.write_text("\n".join(lines))
    whole = ("ledger", "verify", str(file), "--jwks", str(jwks))
    assert run(*whole, "--head", signed) == (0, [f"2 entries, head {head}"])
    body = json.loads(lines[1])
    file.write_text("\n".join([*lines[:2], json.dumps({"head": f"1:{body['hash']}"})]))
    assert run("ledger", "verify", str(file))[0] == 0  # whole in itself
    status, said = run(*whole, "--head", signed)
    assert (status, said[:2]) == (
        1,
        ["signature: the head is not signed", "head: a head was printed at 2, the entries end at 1"],
    )
    assert run("ledger", "verify", str(file), "--head", head)[0] == 1


@pytest.mark.usefixtures("posted")
def test_the_general_journal_is_csv_by_a_mapping(run: Run, config: Path) -> None:
    assert "say which days" in run("ledger", "gl")[1][-1]
    assert run("ledger", "gl", "--from", "2026-03-02", "--to", "2026-03-01")[0] == 2
    status, said = run("ledger", "gl", "--period", "2026-03")
    assert (status, "no [[tenants.gl_accounts]]" in said[-1]) == (1, True)
    assert "processor_clearing (event payment_captured" in said[-1]
    lines = (("processor_clearing", "1030"), ("unapplied_credit", "2100"))
    config.write_text(
        config.read_text()
        + "".join(f'[[tenants.gl_accounts]]\naccount = "{ours}"\nnumber = "{number}"\n' for ours, number in lines)
    )
    assert run("ledger", "gl", "--period", "2026-03") == (
        0,
        [
            "date,gl_account,title,debit,credit,currency,first_entry,last_entry,entries",
            "2026-03-31,1030,,100.05,,USD,1,1,1",
            "2026-03-31,2100,,,100.05,USD,1,1,1",
            "2026-03-31 isn't closed: these lines may still become more",
        ],
    )
    status, said = run("ledger", "gl", "--from", "2026-03-31", "--to", "2026-04-01", "--by", "entry")
    assert [line.split(",")[:5] for line in said[1:5]] == [
        ["2026-03-31", "1030", "", "100.05", ""],
        ["2026-03-31", "2100", "", "", "100.05"],
        ["2026-04-01", "1030", "", "200.10", ""],
        ["2026-04-01", "2100", "", "", "200.10"],
    ]
    for by in ("day", "entry"):
        words = ["ledger", "gl", "--period", "2026-03", "--by", by, "--config", str(config)]
        made = CliRunner().invoke(app, words).stdout_bytes
        assert made.endswith(b"\r\n")
        assert made.count(b"\n") == made.count(b"\r\n") == 3


def test_closing_and_opening_leave_a_trace(run: Run, config: Path) -> None:
    assert run("migrate")[0] == 0
    head = "0:" + "0" * 64
    assert "say who with --by" in run("ledger", "close", "2026-03")[1][-1]
    status, (says, first) = run("ledger", "close", "2026-03", "--by", "eve")
    assert (status, says, first.startswith(f"{head}+1:")) == (0, "2026-03 is closed", True)
    assert "needs a reason" in run("ledger", "reopen", "2026-03", "--by", "eve")[1][-1]
    reopened = run("ledger", "reopen", "2026-03", "--by", "eve", "--reason", "a late bill")
    assert (reopened[0], reopened[1][0]) == (0, "2026-03 is open again")
    last = run("ledger", "head")[1][0]
    assert (last, last.startswith(f"{head}+2:")) == (reopened[1][1], True)
    assert run("ledger", "verify", "--head", first, "--head", last) == (0, [f"0 entries, head {last}"])
    other = last[:-1] + ("0" if last[-1] != "0" else "1")
    status, found = run("ledger", "verify", "--head", other)
    assert (status, found[0]) == (1, "period: another step was printed as the one of number 2")
    status, lines = run("ledger", "periods", "--json")
    told = [{name: json.loads(one)[name] for name in ("period", "step", "closed_through", "why")} for one in lines]
    assert (status, told) == (
        0,
        [
            {"period": "2026-03", "step": "closed", "closed_through": "2026-03-31", "why": ""},
            {"period": "2026-03", "step": "reopened", "closed_through": None, "why": "a late bill"},
        ],
    )
    assert run("ledger", "periods")[1][1].endswith(f"by eve: a late bill  {last}")
    key = config.parent / "key.pem"
    key.write_text(new_private_key(Algorithm.ES384))
    config.write_text(config.read_text() + f'[[tenants.keys]]\nprivate_key = "{key}"\n')
    assert len(run("ledger", "close", "2026-03", "--by", "eve")[1]) == 3  # signed
