"""`fhirpay bank`: a file is taken, its lines are listed, a person says whose they are; an error is a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

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
processor = "stripe"
secret_key = "sk_test_none"
[[tenants.bank_accounts]]
name = "main"
format = "csv"
[tenants.bank_accounts.csv]
day = "Date"
amount = "Amount"
text = ["What"]
"""
Run = Callable[..., tuple[int, list[str]]]


def test_a_file_is_taken_once_listed_and_a_line_booked(run: Run, config: Path) -> None:
    file = config.parent / "november.csv"
    file.write_text("Date,Amount,What\n2026-11-19,12.00,ANN CANARY\n2026-11-19,-3.00,FEE\n")
    assert run("migrate")[0] == 0
    status, said = run("bank", "take", str(file), "--account", "main")
    assert (status, "2 new lines, 0 known; 0 matches with payouts and bags" in said[0]) == (0, True)
    assert "has been taken before" in run("bank", "take", str(file), "--account", "main")[1][0]
    lines = [json.loads(one) for one in run("bank", "lines", "--account", "main", "--json")[1]]
    assert {one["amount"]: one["at"] for one in lines} == {"12.00": "line 2", "-3.00": "line 3"}
    assert "CANARY" not in str(lines)
    by_amount = {one["amount"]: one["line"] for one in lines}
    came, went = by_amount["12.00"], by_amount["-3.00"]
    who = ("--by", "kim", "--reason", "nobody knows")
    assert run("bank", "receipt", came, *who)[0] == 0
    assert "went out: it is no receipt" in run("bank", "receipt", went, *who)[1][-1]
    assert "payout or bag po_none isn't expected" in run("bank", "match", came, "--payout", "po_none", *who)[1][-1]
    assert "there is no such account" in run("bank", "credit", came, "--account", "urn:a|1", *who)[1][-1]
    assert "there is no payment payx" in run("bank", "uncredit", "payx", *who)[1][-1]
    status, said = run("bank", "fee", went, "--merchant", "main", *who)
    assert (status, said[0].split(": ")[1]) == (0, f"{went} is a fee of merchant 'main'")
    assert "is taken back: no rule matches" in run("bank", "unmatch", went, *who)[1][0]
    assert "is matched with nothing" in run("bank", "unmatch", went, *who)[1][-1]
    file.write_text("Date,Amount,What\n2026-11-19,12.00,ANN CANARY\n2026-11-19,x,CANARY\n")
    status, said = run("bank", "take", str(file), "--account", "main")
    assert (status, said) == (1, ["fhirpay: line 3, Amount: this is no amount: it can't be read [value-invalid]"])
    assert run("bank", "take", str(file), "--account", "other")[0] == 2
    assert run("bank", "lines", "--account", "other")[0] == 2
    status, said = run("bank", "take", str(config.parent / "none.csv"), "--account", "main")
    assert (status, "none.csv can't be read: No such file" in said[-1]) == (2, True)
    assert run("processor", "payouts", "--merchant", "other")[0] == 2
    assert "there is no kind 'bank_line'" in run("worklist", "--kind", "bank_line")[1][-1]
    assert "front desk, billing office, controller" in run("worklist", "--owner", "boss")[1][-1]
