"""`fhirpay processor pull` and `payouts`: what was paid out, read and listed at the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx2

from stripe_running import SECRET_KEY, stripe_apart

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
base_url = "http://127.0.0.1:1"
private_network = true
secret_key = "sk_test_none"
"""
Run = Callable[..., tuple[int, list[str]]]


def test_payouts_are_pulled_and_listed(run: Run, config: Path) -> None:
    with stripe_apart() as running:
        there = config.read_text().replace("http://127.0.0.1:1", running.base_url)
        config.write_text(there.replace("sk_test_none", SECRET_KEY))
        httpx2.post(f"{running.base_url}/control/lines", json={"type": "adjustment", "amount": 700}, trust_env=False)
        made = httpx2.post(f"{running.base_url}/control/payouts", json={"status": "paid"}, trust_env=False).json()
        assert run("migrate")[0] == 0
        assert run("processor", "payouts") == (0, [])
        assert run("processor", "pull") == (0, ["'main': 1 payouts seen, 2 lines read, 2 of all settled, 0 wait"])
        status, (said,) = run("processor", "payouts", "--json")
        told = json.loads(said)
        assert (status, told["processorReference"], told["amount"], told["state"]) == (0, made["id"], "7.00", "paid")
        assert f"main {made['id']}" in run("processor", "payouts", "--merchant", "main")[1][0]
        assert run("processor", "pull") == (0, ["'main': 1 payouts seen, 0 lines read, 0 of all settled, 0 wait"])


def test_what_can_t_be_pulled_is_a_sentence(run: Run) -> None:
    assert run("migrate")[0] == 0
    status, said = run("processor", "pull")
    assert (status, "processor-not-reached" in said[-1]) == (1, True)
    status, said = run("processor", "pull", "nobody")
    assert (status, "merchant 'nobody' is not configured" in said[-1]) == (2, True)
