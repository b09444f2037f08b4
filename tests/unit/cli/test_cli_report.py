"""`fhirpay report` as an operator types it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from fhirpay.reports.registry import REPORTS

Run = Callable[..., tuple[int, list[str]]]
CONFIG = """
database = "sqlite:///{folder}/x.db"
hash_key = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
log_level = "ERROR"
[[tenants]]
name = "main"
"""


@pytest.fixture
def migrated(run: Run) -> Run:
    assert run("migrate")[0] == 0
    return run


def test_reports_are_listed_shown_and_refused_by_a_sentence(migrated: Run) -> None:
    status, lines = migrated("report", "list")
    assert (status, [one.partition(":")[0] for one in lines]) == (0, list(REPORTS))
    says = [REPORTS["aging"].says, REPORTS["aging"].denominators]
    header = "currency  obligations  owed  d0_30  d31_60  d61_90  d91_120  d121_up"
    assert migrated("report", "aging") == (0, [*says, header])
    assert migrated("report", "aging", "--csv", "--by", "facility") == (
        0,
        ["facility,currency,obligations,owed,d0_30,d31_60,d61_90,d91_120,d121_up"],
    )
    status, (line,) = migrated("report", "staff", "--from", "2026-11-01", "--to", "2026-11-30", "--json")
    about = json.loads(line)
    assert (status, about["report"], about["from"], about["to"]) == (0, "staff", "2026-11-01", "2026-11-30")
    assert migrated("report", "horoscope")[0] == 1
    for words in (("aging", "--as-of", "soon"), ("aging", "--by", "colour"), ("aging", "--csv", "--json")):
        assert migrated("report", *words)[0] == 2
