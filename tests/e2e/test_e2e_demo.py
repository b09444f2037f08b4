"""The first command, whole: as anyone runs it, on both engines."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from demo_runs import finished, ledger_is_whole, outcome
from fhir.resources.R4B.paymentreconciliation import PaymentReconciliation


def _amounts(postings: list[dict[str, Any]]) -> list[Decimal]:
    return sorted(Decimal(str(posting["paymentAmount"]["value"])) for posting in postings)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_option(request: pytest.FixtureRequest, databases: Any) -> Any:
    if request.param == "sqlite":
        yield ()
        return
    with databases.url("postgresql") as url:
        yield ("--database", url)


def test_three_patients_from_message_to_posting(tmp_path: Path, database_option: tuple[str, ...]) -> None:
    folder = tmp_path / "demo"
    lines, log = finished(folder, *database_option)
    last = json.loads(lines[-1], parse_float=Decimal)

    assert last["resourceType"] == "PaymentReconciliation"
    assert last["paymentAmount"] == {"value": Decimal("125.50"), "currency": "USD"}
    PaymentReconciliation.model_validate(last)
    assert sum(line["amount"]["value"] for line in last["detail"]) == last["paymentAmount"]["value"]

    world = outcome(folder)
    assert _amounts(world.postings) == [Decimal("25.00"), Decimal("125.50")]
    assert sorted(payment["amount"] for payment in world.payments) == [25_00, 125_50]
    assert {payment["status"] for payment in world.payments} == {"captured"}
    text = "\n".join(lines)
    assert "pending insurance" in text  # why Carl isn't asked
    assert ledger_is_whole(folder)["problems"] == []
    # What the processor was told of each payment holds nothing of the chart.
    told = json.dumps(world.payments)
    for canary in ("Rivera", "Ana", "MRN1001", "ACC1001", "99213", "Lindqvist", "Bea", "INV2002", "Health First"):
        assert canary not in told
    # and neither does the log
    logged = "\n".join(log)
    assert '"payment.captured"' in logged
    for canary in ("Rivera", "Ana", "MRN1001", "Lindqvist", "Okafor", "HF556677", "1984"):
        assert canary not in logged
