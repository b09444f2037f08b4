"""`fhirpay reconcile` as it is typed, on a database where nothing has come in yet."""

from __future__ import annotations

import json
from collections.abc import Callable

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
"""
Run = Callable[..., tuple[int, list[str]]]


def test_each_leg_is_shown_and_what_is_none_is_refused(run: Run) -> None:
    assert run("migrate")[0] == 0
    status, said = run("reconcile", "--merchant", "main", "--from", "2026-03-01", "--to", "2026-03-31")
    assert (status, said[0]) == (0, "0 payments compared, 0 lines of payouts newly matched")
    assert [one.split(":")[0] for one in said if ": 0 " in one] == [
        "EHR and ledger",
        "ledger and payouts",
        "payouts and bank",
    ]
    told = json.loads(run("reconcile", "--json")[1][0])
    assert (len(told["legs"]), told["breaks"], told["run"]["breaks"]) == (3, [], 0)
    assert "there is no merchant 'other'" in run("reconcile", "--merchant", "other")[1][0]
    assert run("reconcile", "--from", "March")[0] == 2
