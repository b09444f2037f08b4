"""A receipt at the bank that turns out to be a patient's: credited once, to whoever's it is, told once, taken back.

On SQLite and PostgreSQL; what `fhirpay doctor` compares is looked at after each test.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bank_files import CSV, csv_of
from bank_world import KEY
from desk_world import TENANT as DESK
from desk_world import account, balances, credits_of, invoice, open_tills, owed, sound, standing, told, usd
from fhirpay import wiring
from fhirpay.bank import store as bank
from fhirpay.bank.store import BankLine
from fhirpay.cli.admin import through_server
from fhirpay.close.counted import Counting, Reach
from fhirpay.close.money import lines as money_of
from fhirpay.config import Merchant, Settings
from fhirpay.db.unit import Tx, Units
from fhirpay.errors import FhirpayError, RuleBroken, ValueInvalid
from fhirpay.payments import store as payments
from fhirpay.usecases import desk_refund
from fhirpay.usecases.decide_bank import book_fee, book_receipt, match_by_hand
from fhirpay.usecases.desk import void
from fhirpay.usecases.explain import explain
from fhirpay.usecases.match_bank import match_account
from fhirpay.usecases.receipts import NewCredit, credit, uncredit
from fhirpay.usecases.take_bank_file import TakeBankFile
from fhirpay.usecases.unmatch_bank import unmatch

TENANT = DESK.model_copy(update={"bank_accounts": (CSV.model_copy(update={"payouts_only": False}),)})
WHO = {"by": "kim", "why": "the check's stub names her account"}


async def lines(units: Units, *amounts: int) -> list[str]:
    """Lines of the bank of these amounts; the ids, in their order."""
    given = [("2026-11-18", minor, f"R{at}", "DEPOSIT") for at, minor in enumerate(amounts)]
    await TakeBankFile(units, TENANT, KEY).take("main", "statement.csv", csv_of(given))
    found = {one.reference: one.line_id for one in await units.read(bank.some, "main", unmatched=False, limit=9)}
    return [found[f"R{at}"] for at in range(len(amounts))]


async def receipt(units: Units, minor: int = 100_00) -> str:
    (line,) = await lines(units, minor)
    await units.write(book_receipt, TENANT, line, by="kim", why="nobody knows it")
    return line


async def credited(units: Units, line: str, ref: str, amount: str = "", **more: str) -> str:
    return await units.write(credit, NewCredit(line, ref, amount=amount, **{**WHO, **more}), TENANT)


async def line_of(units: Units, line: str) -> BankLine:
    return await units.read(bank.line, line)


async def test_it_pays_what_is_owed_is_told_once_and_the_rest_is_credit(units: Units) -> None:
    line = await receipt(units)
    ann = await units.write(account, "ann", 60_00)
    paid = await credited(units, line, ann, "75.00")
    assert await units.read(owed, ann) == [0]
    assert await units.read(credits_of, ann) == {paid: 15_00}
    assert await units.read(balances) == {
        "bank": 100_00,
        "unidentified_receipts": 25_00,
        "unapplied_credit": 15_00,
        "charges_control": 60_00,
    }
    (posted,) = await units.read(told, paid)
    assert "DDPO" in str(posted)
    assert posted["paymentAmount"]["value"] == 75
    assert [one["amount"]["value"] for one in posted["detail"]] == [60, 15]
    ben = await units.write(account, "ben")  # nothing is owed: credit, until there is
    with pytest.raises(RuleBroken, match="of none that is known: say which one"):
        await credited(units, line, ben)
    other = await credited(units, line, ben, facility="main")
    assert await units.read(credits_of, ben) == {other: 25_00}
    assert (await line_of(units, line)).uncredited == usd(0)
    assert "unidentified_receipts" not in await units.read(balances)
    await units.write(invoice, "ben", 1, 25_00)  # allocated as any credit is, and told as moved
    assert await units.read(standing, other) == {"Invoice/ben-1": 25_00}
    said = str(await units.read(explain, line))
    assert paid in said
    assert other in said
    assert "credited by kim" in said
    assert "at the bank, captured" in said
    await sound(units)


async def test_a_wrong_account_is_taken_back_whole_by_the_opposite_move_and_another_has_it(units: Units) -> None:
    line = await receipt(units)
    ann, ben = await units.write(account, "ann", 60_00), await units.write(account, "ben", 100_00)
    before = await units.read(balances)
    paid = await credited(units, line, ann)
    assert await units.write(uncredit, paid, TENANT, by="eve", why="ben's stub") == line
    assert await units.read(owed, ann) == [60_00]
    assert await units.read(balances) == before
    assert await units.read(standing, paid) == {}  # of what the EHR was told nothing is left
    assert len(await units.read(told, paid)) == 2
    with pytest.raises(RuleBroken, match="is voided: there is nothing to take back"):
        await units.write(uncredit, paid, TENANT, by="eve", why="again")
    again = await credited(units, line, ann, "1.00")  # it may be hers in part after all
    await credited(units, line, ben)
    assert await units.read(owed, ben) == [1_00]
    said = str(await units.read(explain, paid))
    assert "taken back by eve: ben's stub" in said
    assert again != paid
    await sound(units)


async def test_what_may_not_be_is_refused_in_words_and_changes_nothing(units: Units) -> None:
    came, went = await lines(units, 100_00, -5_00)
    ann = await units.write(account, "ann", 60_00)
    with pytest.raises(RuleBroken, match="is no receipt yet"):
        await credited(units, came, ann)
    await units.write(book_receipt, TENANT, came, by="kim", why="nobody knows it")
    before = await units.read(balances)
    for error, says, line, amount, more in (
        (RuleBroken, "100.00 USD of bank line .* is on no account, not 100.01 USD", came, "100.01", {}),
        (RuleBroken, "above zero", came, "0", {}),
        (RuleBroken, "above zero", came, "-1", {}),
        (RuleBroken, "above zero", went, "", {}),
        (ValueInvalid, "more decimals", came, "1.001", {}),
        (RuleBroken, "say who says so", came, "", {"by": " "}),
        (FhirpayError, "there is no facility 'x'|no facility", came, "", {"facility": "x"}),
        (FhirpayError, "there is no bank line", "bnkx", "", {}),
    ):
        with pytest.raises(error, match=says):
            await credited(units, line, ann, amount, **more)
    assert await units.read(balances) == before
    paid = await credited(units, came, ann, "40.00")
    with pytest.raises(RuleBroken, match=r"40.00 USD of it is credited to this account already: pay"):
        await credited(units, came, ann, "40.00")  # the same command typed twice
    said = {"lines": [came], "payouts": ["po_1"], "by": "kim", "why": "x"}
    with pytest.raises(RuleBroken, match="credited to an account: take that back first"):
        await units.write(match_by_hand, TENANT, KEY, **said)
    with pytest.raises(RuleBroken, match="is credited to accounts"):
        await units.write(lambda tx: book_fee(tx, TENANT, came, merchant="main", **WHO))
    with pytest.raises(RuleBroken, match="`fhirpay bank uncredit` takes it back"):
        await units.write(lambda tx: void(tx, paid, till="", by="ann", reason="x", tenant=TENANT))
    assert (await line_of(units, came)).uncredited == usd(60_00)


async def test_two_people_at_once_have_no_more_of_it_between_them_than_there_is(units: Units) -> None:
    line = await receipt(units)
    refs = [await units.write(account, name, 80_00) for name in ("ann", "ben")]
    found = await asyncio.gather(*(credited(units, line, ref, "70.00") for ref in refs), return_exceptions=True)
    assert sorted(isinstance(one, RuleBroken) for one in found) == [False, True]
    assert (await line_of(units, line)).uncredited == usd(30_00)
    paid = next(one for one in found if isinstance(one, str))
    ends = await asyncio.gather(
        *(units.write(uncredit, paid, TENANT, by=name, why="wrong") for name in ("eve", "kim")), return_exceptions=True
    )
    assert sorted(isinstance(one, RuleBroken) for one in ends) == [False, True]
    assert (await line_of(units, line)).uncredited == usd(100_00)
    assert (await units.read(balances))["unidentified_receipts"] == 100_00


async def test_it_is_given_back_by_the_practices_check_and_counted_by_the_close(units: Units) -> None:
    line = await receipt(units)
    await units.write(open_tills)
    ann = await units.write(account, "ann", 60_00)
    paid = await credited(units, line, ann)
    wish = desk_refund.DeskRefund(paid, "check", "front", "ann", "paid twice", usd(30_00), "77")
    await units.write(desk_refund.give, wish, TENANT)
    assert (await units.read(balances))["bank"] == 70_00
    with pytest.raises(RuleBroken, match="was given back: refund the rest"):
        await units.write(uncredit, paid, TENANT, by="kim", why="x")

    def counted(tx: Tx) -> list[tuple[str, str, int]]:
        found = money_of(tx, Counting((Reach("cls1", 1, tx.now.date(), 99),), ()), "main")
        return [(one.tender, one.kind, one.amount.minor) for one in found]

    assert await units.read(counted) == [("bank_receipt", "taken", 100_00), ("own_check", "refunded", -30_00)]
    await sound(units)


async def test_a_processors_fee_at_the_bank_is_booked_by_its_merchant_and_taken_back(units: Units) -> None:
    took, gave = await lines(units, -12_34, 2_00)
    await units.write(book_receipt, TENANT, gave, by="kim", why="nobody knows it")
    before = await units.read(balances)

    def fee(tx: Tx, line: str, merchant: str = "main", by: str = "kim") -> str:
        return book_fee(tx, TENANT, line, merchant=merchant, by=by, why="the monthly bill")

    for _ in range(2):
        for line in (took, gave):
            await units.write(fee, line)
        assert await units.read(balances) == {"bank": -10_34, "fees": 10_34}
        told = (await units.read(explain, took)).as_text()
        assert "-12.34 USD" in told
        assert "a fee of merchant 'main'" in told
        assert "said by kim: the monthly bill" in told
        with pytest.raises(RuleBroken, match="is matched: bmt"):
            await units.write(fee, took)
        assert await units.write(match_account, TENANT, TENANT.bank_accounts[0], KEY) == 0
        for line in (took, gave):
            await units.write(unmatch, TENANT, KEY, line, by="kim", why="the rent")
        assert await units.read(balances) == before
    with pytest.raises(RuleBroken, match="has nothing to do with bank account 'main'"):
        await units.write(fee, took, "other")
    with pytest.raises(RuleBroken, match="who says so"):
        await units.write(fee, took, "main", "")
    assert await units.read(payments.breaks) == []


async def test_a_running_server_is_told_whose_a_line_is(databases: Any) -> None:
    with databases.url("sqlite") as url:
        stripe = Merchant(name="main", processor="stripe", secret_key="sk_test_none")
        tenant = TENANT.model_copy(update={"merchants": (stripe,), "connections": (), "destinations": ()})
        loaded = Settings(database=url, hash_key="k" * 32, log_level="ERROR", tenants=(tenant,))
        system = wiring.build(loaded)
        await system.database.start()
        socket = system.admin_socket()
        assert socket is not None
        await socket.start()
        try:
            await said_beside(loaded, system.database.units("main"))
        finally:
            await socket.stop()
            await system.close()
            await system.database.stop()


async def said_beside(loaded: Settings, units: Units) -> None:
    await units.write(account, "ann")
    async with through_server(loaded, "main", _not_here) as server:
        data = csv_of([("2026-11-19", 12_00, "R1", "DEPOSIT"), ("2026-11-19", -3_00, "R2", "FEE")])
        await server.take_bank_file(account="main", name="november.csv", data=data)
        lines = await units.read(bank.some, "main", unmatched=True, limit=9)
        came, went = (next(one.line_id for one in lines if (one.amount.minor > 0) == way) for way in (True, False))
        who = {"by": "kim", "reason": "her stub"}
        await server.book_receipt(line=came, **who)
        whose = {"line": came, "account": "Account/ann", "amount": "5.00", "facility": "main"}
        paid = (await server.bank(action="credit", **whose, **who))["payment"]
        with pytest.raises(FhirpayError, match="is credited to this account already"):
            await server.bank(action="credit", **whose, **who)
        assert await units.read(balances) == {"bank": 12_00, "unidentified_receipts": 7_00, "unapplied_credit": 5_00}
        assert await server.bank(action="uncredit", payment=paid, **who) == {"line": came}
        assert "match" in await server.bank(action="fee", line=went, merchant="main", **who)
        assert (await units.read(balances))["fees"] == 3_00
        assert (await server.unmatch(line=went, **who)).startswith("bmt")
        assert await units.read(balances) == {"bank": 12_00, "unidentified_receipts": 12_00}
        with pytest.raises(FhirpayError, match="no such command about the bank"):
            await server.bank(action="other")


def _not_here(_: Settings) -> wiring.System:
    raise AssertionError("it runs there")
