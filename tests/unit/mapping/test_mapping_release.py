"""A site's own mappings: laid over the installed ones from a folder of its own, and run by a server once released."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mapping_messages import FACILITY, ft1, interface, message

from fhirpay.config import Interface
from fhirpay.errors import ConfigInvalid
from fhirpay.mapping.engine import map_message
from fhirpay.mapping.loader import Maps, load
from fhirpay.mapping.release import Released, content_hash, current, release, releases
from fhirpay.mapping.trace import Trace

NOW = datetime(2026, 11, 20, tzinfo=UTC)
FEED = interface(mapping="clinic")
LINES = "rules:\n  - rule: charge\n    status: {}\n"


def write(own: Path, status: str) -> None:
    (own / "clinic").mkdir(parents=True, exist_ok=True)
    (own / "clinic" / "charges.yaml").write_text(LINES.format(status), encoding="utf-8")


def status(maps: Maps) -> str:
    (charge,) = map_message(message(ft1(_11="1.00")), FEED, FACILITY, maps=maps).resources("ChargeItem")
    return charge["status"]


def test_an_overlay_of_a_folder_of_its_own_is_laid_over_what_is_installed_and_named_in_traces(tmp_path: Path) -> None:
    write(tmp_path, "planned")
    maps, trace = load("clinic", None, tmp_path), Trace()
    assert status(maps) == "planned"
    map_message(message(ft1(_11="1.00")), FEED, FACILITY, maps=maps, trace=trace)
    (step,) = trace.of("ChargeItem.status")
    assert step.file == f"{(tmp_path / 'clinic' / 'charges.yaml').as_posix()}:3"
    assert (step.value, step.segment) == ("planned", "FT1[1]")
    assert trace.of("ChargeItem.code")[0].file.startswith("base/segments/ft1_cg.yaml:")


def test_sites_share_what_they_leave_as_it_is_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, "planned")
    (tmp_path / "other").mkdir()
    ours, theirs, base = load("clinic", None, tmp_path), load("other", None, tmp_path), load("")
    assert ours.of("ADT", "A01") is theirs.of("ADT", "A01") is base.of("ADT", "A01")  # compiled once
    assert ours.of("DFT", "P03") is not base.of("DFT", "P03")
    assert (status(ours), status(theirs), status(base)) == ("planned", "billable", "billable")


def test_a_row_of_a_code_table_replaces_adds_or_takes_away(tmp_path: Path) -> None:
    (tmp_path / "clinic" / "codes").mkdir(parents=True)
    rows = "v2,code,display,system\nE,ACUTE,,\nI,-,,\nZ,AMB,,\n"
    (tmp_path / "clinic" / "codes" / "patient-class.csv").write_text(rows)
    table = load("clinic", None, tmp_path).tables["patient-class"]
    assert (table["E"].code, table["Z"].code, table["O"].code, table.get("I")) == ("ACUTE", "AMB", "AMB", None)


def test_a_server_runs_what_was_released_and_takes_the_next_release_by_itself(tmp_path: Path) -> None:
    write(tmp_path, "planned")
    with pytest.raises(ConfigInvalid, match="not released: run `fhirpay map release`"):
        Released(tmp_path, [FEED])
    first = release(tmp_path, by="ann", at=NOW, why="a start")
    server = Released(tmp_path, [FEED])
    write(tmp_path, "billed")
    assert status(server.of(FEED)) == "planned"
    second = release(tmp_path, by="bob", at=NOW, accepted=["A1: 1.00 → 2.00"])
    assert status(server.of(FEED)) == "billed"
    assert [one.by for one in releases(tmp_path)] == ["ann", "bob"]
    assert first.hash != second.hash == content_hash(tmp_path)
    assert current(tmp_path) == second
    assert release(tmp_path, by="eve", at=NOW) == second  # nothing has changed


@pytest.mark.warns("mapping.release_unusable")
def test_a_release_that_was_tampered_with_is_not_taken(tmp_path: Path) -> None:
    write(tmp_path, "planned")
    release(tmp_path, by="ann", at=NOW)
    server = Released(tmp_path, [FEED])
    write(tmp_path, "billed")
    made = release(tmp_path, by="ann", at=NOW)
    write(tmp_path / "released" / made.hash[:16], "aborted")
    assert status(server.of(FEED)) == "planned"
    with pytest.raises(ConfigInvalid, match="changed since"):
        Released(tmp_path, [FEED])


def test_what_can_not_be_read_is_not_released(tmp_path: Path) -> None:
    write(tmp_path, "{from: FT1-99x}")
    with pytest.raises(ConfigInvalid, match=r"FT1-99x.* is no HL7 field"):
        release(tmp_path, by="ann", at=NOW)
    assert releases(tmp_path) == []
    with pytest.raises(ConfigInvalid, match="there is no folder"):
        release(tmp_path / "none", by="ann", at=NOW)


def test_a_list_of_releases_that_is_no_list_is_said_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, "planned")
    made = release(tmp_path, by="ann", at=NOW)
    with (tmp_path / "released" / "releases.jsonl").open("a") as lines:
        lines.write(json.dumps({"hash": made.hash}) + "\n")
    with pytest.raises(ConfigInvalid) as caught:
        releases(tmp_path)
    assert str(caught.value.location).endswith("releases.jsonl:2")


def test_without_a_folder_of_its_own_a_server_runs_what_is_installed() -> None:
    plain = Interface(name="lab", account_key="PID-18")
    assert Released(None, [plain]).of(plain) is load("")
    with pytest.raises(ConfigInvalid, match="there is no folder mappings/clinic"):
        Released(None, [FEED])
