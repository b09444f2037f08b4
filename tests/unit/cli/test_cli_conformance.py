"""`fhirpay conformance` as an analyst runs it: what is printed, which files are written, with which status."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fhirpay.cli.main import app
from fhirpay.conformance.counts import Tally, count
from fhirpay.conformance.departures import Departure
from fhirpay.db.unit import Tx, Units
from fhirpay.flow.lane import complete
from fhirpay.flow.lease import claim
from fhirpay.inbox.store import Incoming, note_outcome, record

SAMPLES = Path(__file__).resolve().parents[2] / "samples"

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("FHIRPAY_")]:
        monkeypatch.delenv(name)
    logger = logging.getLogger("fhirpay")
    before = (logger.handlers, logger.level, logger.propagate)
    yield lambda *arguments: CliRunner().invoke(app, ["conformance", *map(str, arguments)])
    logger.handlers, logger.level, logger.propagate = before


def test_a_feed_is_graded(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    result = run("feed", SAMPLES / "DFT-P03-01.hl7", "--html", page)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == "1 messages (1 DFT^P03) against the interface 'sample'"
    assert result.stdout.splitlines()[-1].startswith("not ready: 1 in the way")
    assert "transaction-id-empty" in page.read_text(encoding="utf-8")


INSURED = (
    "MSH|^~\\&|BILL|LAB|PAY|MAIN|20261119101500-0500||DFT^P03|C1|P|2.5.1",
    "PID|1||1001^^^LAB^MR||Quorra^Ann||19800101|F||||||||||A1^^^LAB^AN",
    "PV1|1|O|||||||||||||||||V1|PPO" + "|" * 24,
    "IN1|1|PPO1|P9^^^LAB|Payer||||||||20200101|||PPO" + "|" * 21 + "M1",
    "FT1|1|T1||20261118||CG|99213^Visit^C4|||1|251.00&USD",
)


def test_a_feed_with_questions_has_a_status_of_its_own(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "feed.hl7"
    path.write_text("\r".join(INSURED) + "\r", encoding="utf-8", newline="")
    result = run("feed", path, "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["grade"]) == (3, "ready with questions")
    assert [one["code"] for one in told["findings"] if one["severity"] == "ask"] == ["admission-missing"]
    path.write_text(
        "\r".join(INSURED).replace("||||||||||||||||||||||||\r", "||||||||||||||||||||||||20261118\r") + "\r"
    )
    assert run("feed", path).exit_code == 0


async def test_what_was_really_sent_is_graded(run: Run, units: Units, database_url: str, tmp_path: Path) -> None:
    config = tmp_path / "fhirpay.toml"
    config.write_text(
        f"""database = "{database_url}"
log_level = "ERROR"
[[tenants]]
[[tenants.merchants]]
name = "main"
processor = "simulated"
secret_key = "k"
[[tenants.facilities]]
name = "main"
[[tenants.interfaces]]
name = "lab"
account_key = "PID-18"
"""
    )
    body = "\r".join(INSURED).encode()

    def sent(tx: Tx) -> None:
        for feed, text in (("lab", body), ("other", body.replace(b"|CG|", b"|XX|"))):
            record(tx, Incoming("mllp", feed, "hl7", (feed, "C1"), text, "hash"))
        for work in claim(tx, queue="inbox", kinds=["hl7"], owner="test", lease=timedelta(minutes=1), limit=9):
            complete(tx, work)
            note_outcome(tx, work.ref, "applied")

    await units.write(sent)
    result = await asyncio.to_thread(run, "traffic", "lab", "--last", "200", "--config", config)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("1 messages (1 DFT^P03) against the interface 'lab'")
    assert "coverage-not-declared" in result.stdout
    assert "transaction-type-unmapped" not in result.stdout
    assert "The standard's tables (" in result.stdout
    assert "EVN" in result.stdout.split("The standard's tables")[1]
    result = await asyncio.to_thread(run, "traffic", "--config", config)
    assert result.stdout.startswith("nothing has been checked yet")

    def counted(tx: Tx) -> None:
        tally = Tally()
        tally.add("msg1", [Departure(True, "PID-19", "unwanted"), Departure(False, "EVN", "missing")])
        count(tx, "lab", tally, shed=7)

    await units.write(counted)
    result = await asyncio.to_thread(run, "traffic", "lab", "--config", config)
    head, *lines = result.stdout.splitlines()
    assert (head.split(" since ")[0], head.split(", ")[1]) == (
        "lab: 1 messages checked",
        "7 left out since they came too fast",
    )
    assert [line.split(";")[0] for line in lines] == [
        "  Departs from its profile (1)",
        "    1 × PID-19 is filled, and it was agreed to leave it out",
        "  Departs from the standard's tables alone (1)",
        "    1 × EVN is required by the standard and missing",
    ]
    result = await asyncio.to_thread(run, "traffic", "lab", "--json", "--config", config)
    told = json.loads(result.stdout)
    assert (told["checked"], told["findings"][0]["location"], told["findings"][0]["messages"]) == (1, "PID-19", 1)
    result = await asyncio.to_thread(run, "traffic", "nobody", "--config", config)
    assert result.exit_code == 2


def test_a_file_that_is_not_there_is_said(run: Run) -> None:
    result = run("feed", "nowhere.hl7")
    assert result.exit_code == 2
    assert "nowhere.hl7 can't be read" in result.stderr


def test_a_profile_and_its_specification_are_written(run: Run, tmp_path: Path) -> None:
    assert json.loads(run("profile", "sample").stdout)["interface"] == "sample"
    assert "properties" in json.loads(run("profile", "sample", "--schema").stdout)
    page = tmp_path / "spec.html"
    assert run("spec", "sample", "--html", page).exit_code == 0
    assert page.read_text(encoding="utf-8") == run("spec", "sample").stdout.removesuffix("\n")
    assert run("spec", "nobody").exit_code == 2
