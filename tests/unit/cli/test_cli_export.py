"""`fhirpay export`: what is under way, begun and cancelled at the command line."""

from __future__ import annotations

import json
from collections.abc import Callable

CONFIG = """
database = "sqlite:///{folder}/x.db"
hash_key = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
log_level = "ERROR"
[[tenants]]
name = "main"
[[tenants.connections]]
name = "ehr"
base_url = "https://ehr.example/fhir"
poll = ["ChargeItem"]
poll_since = 2026-12-01T00:00:00Z
bulk = "nightly"
[[tenants.connections]]
name = "other"
base_url = "https://other.example/fhir"
"""
Run = Callable[..., tuple[int, list[str]]]


def test_an_export_is_begun_shown_and_cancelled(run: Run) -> None:
    assert run("migrate")[0] == 0
    assert run("export", "status") == (0, ["ehr: not begun"])
    assert run("export", "start", "ehr")[0] == 0
    status, (said,) = run("export", "status", "--json")
    assert (status, json.loads(said)["state"]) == (0, "idle")
    assert "nothing is read yet; the next one at" in run("export", "status")[1][0]


def test_what_can_t_be_begun_or_cancelled_is_a_sentence(run: Run) -> None:
    assert run("migrate")[0] == 0
    status, said = run("export", "cancel", "ehr")
    assert status != 0
    assert "no export of 'ehr' is under way" in said[-1]
    status, said = run("export", "start", "other")
    assert status != 0
    assert "has no `bulk`" in said[-1]
