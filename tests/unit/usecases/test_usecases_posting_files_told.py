"""Posting files at the command line, also beside `serve`, in the doctor's eyes, and as the program is wired."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from chain_built import charged, paid, refunded, tenant
from sqlalchemy import text
from typer.testing import CliRunner, Result

from fhirpay import wiring
from fhirpay.cli.main import app
from fhirpay.config import load
from fhirpay.db.unit import Database, Tx, open_database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import ConfigInvalid
from fhirpay.usecases.doctor import examine
from fhirpay.usecases.make_files import place_kind_of
from fhirpay.usecases.postings import file_kind_of
from fhirpay.web.admin import AdminSocket
from files_world import NAME, Files

# ── as a command ──────────────────────────────────────────────────────────────────────────────────────────────────────

BY = ("--by", "ann", "--reason", "they said so")


def toml(url: str, folder: Path, more: str = "") -> str:
    return f"""
database = "{url}"
hash_key = "{"k" * 32}"
log_level = "ERROR"
[[tenants]]
name = "main"
[[tenants.facilities]]
name = "main"
[[tenants.merchants]]
name = "main"
processor = "simulated"
base_url = "https://processor.example"
secret_key = "k"
[[tenants.posting_files]]
name = "{NAME}"
folder = "{folder}"
layout = "delimited"
zone = "America/New_York"
every_min = 10
{more}
"""


@pytest.fixture
def config(databases: Any, tmp_path: Path) -> Any:
    """A configuration whose database holds a file of one payment, and a refund that waits for the next."""
    folder = tmp_path / "out"
    folder.mkdir()
    with databases.url("sqlite") as url:
        payment = asyncio.run(_filled(url, folder))
        path = tmp_path / "fhirpay.toml"
        path.write_text(toml(url, folder), encoding="utf-8")
        yield path, folder, payment


async def _filled(url: str, folder: Path) -> str:
    clock = FrozenClock(datetime(2026, 11, 20, 15, 0, tzinfo=UTC))
    database = open_database(url, clock=clock, ids=CountedIds(), database_clock=False)
    await database.start()
    one = Files(database, clock, tenant(), folder)
    built = await one.units.write(lambda tx: paid(tx, one.tenant, charged(tx, one.tenant)))
    await one.round()
    await one.units.write(lambda tx: refunded(tx, one.tenant, built))
    await one.work()
    await database.stop()
    return built.payment


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["writeback", "files", *arguments, "--config", str(config)])


def test_files_are_listed_shown_and_previewed(config: tuple[Path, Path, str]) -> None:
    path, folder, payment = config
    listed = run(path, "list")
    assert listed.stdout == "epic 1  placed  fhirpay_20261120_000001.txt  1 lines  80.00 USD\n", listed.stderr
    facts = json.loads(run(path, "list", "--json", "--receiver", NAME, "--last", "1").stdout)
    assert (facts["state"], facts["total"], facts["lines"], facts["postings"]) == ("placed", "80.00", 1, 1)
    assert run(path, "show", NAME, "1").stdout_bytes == (folder / facts["name"]).read_bytes()
    preview = run(path, "preview", NAME).stdout.splitlines()
    assert preview[0].endswith("_000002.txt  1 lines  -30.00 USD")
    assert f",P,2026-11-20,-30.00,USD,A100,,,,{payment},{payment}-1," in preview[2]
    assert run(path, "list").stdout == listed.stdout  # nothing of it was kept


def test_a_file_is_put_there_again_by_whoever_says_why(config: tuple[Path, Path, str]) -> None:
    path, folder, _ = config
    nobody = run(path, "resend", NAME, "1", "--reason", "lost")
    assert (nobody.exit_code, "say who with --by" in nobody.stderr) == (1, True)
    refused = run(path, "found", NAME, "1", *BY)
    assert (refused.exit_code, "there is nothing to decide" in refused.stderr) == (1, True)
    assert run(path, "resend", NAME, "7", *BY).exit_code == 1
    (folder / "fhirpay_20261120_000001.txt").unlink()
    said = run(path, "resend", NAME, "1", *BY)
    assert (said.exit_code, said.stdout) == (0, "fhirpay_20261120_000001.txt is put there again\n"), said.stderr
    assert run(path, "list").stdout.splitlines()[0].split()[2] == "made"
    assert "by ann: they said so" in run(path, "list").stdout


async def test_beside_serve_a_persons_word_goes_to_it(config: tuple[Path, Path, str]) -> None:
    path, folder, _ = config
    (folder / "fhirpay_20261120_000001.txt").unlink()
    system = wiring.build(load(path))
    await system.database.start()
    socket = AdminSocket(wiring.admin_socket_of(system.settings) or path, system.commands)
    await socket.start()
    said = await asyncio.to_thread(run, path, "resend", NAME, "1", *BY)
    assert (said.exit_code, said.stdout) == (0, "fhirpay_20261120_000001.txt is put there again\n"), said.stderr
    for worker in system.workers():
        await worker.drain()
    assert [one.name for one in folder.iterdir()] == ["fhirpay_20261120_000001.txt"]
    await socket.stop()
    await system.close()
    await system.database.stop()


# ── as it is wired ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_receiver_has_hands_and_a_maker_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "fhirpay.toml"
    path.write_text(toml(f"sqlite:///{tmp_path}/a.db", tmp_path), encoding="utf-8")
    house = wiring.build(load(path)).house("main")
    assert set(house.destinations) == {file_kind_of(NAME), place_kind_of(NAME)}
    assert [maker.to.name for maker in house.makers] == [NAME]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ('[[tenants.connections]]\nname = "epic"\nbase_url = "http://x"', "are named 'epic'"),
        ('[tenants.posting_files.sftp]\nhost = "h"\nuser = "u"\nhost_keys = ["x"]', "a password, or a key"),
    ],
)
def test_a_configuration_that_cant_be_meant_is_refused(tmp_path: Path, more: str, why: str) -> None:
    path = tmp_path / "fhirpay.toml"
    path.write_text(toml("sqlite:///a.db", tmp_path, more), encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=why):
        load(path)


def test_two_receivers_whose_files_would_have_the_same_names_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "fhirpay.toml"
    shown = toml("sqlite:///a.db", tmp_path)
    _, mark, section = shown.partition("[[tenants.posting_files]]")
    other = section.replace(f'name = "{NAME}"', 'name = "other"')
    path.write_text(f"{shown}\n{mark}{other}", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="'other' and 'epic' put files of the same names into one folder"):
        load(path)
    path.write_text(f"{shown}\n{mark}{other}\nfile_name = 'other_{{number}}.txt'", encoding="utf-8")
    assert len(load(path).tenants[0].posting_files) == 2


def test_a_layout_that_cant_be_read_is_told_at_start(tmp_path: Path) -> None:
    path = tmp_path / "fhirpay.toml"
    shown = toml(f"sqlite:///{tmp_path}/a.db", tmp_path).replace('"delimited"', '"nowhere.yaml"')
    path.write_text(shown, encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=r"layout 'nowhere.yaml' is neither"):
        wiring.build(load(path))


# ── what the doctor says ──────────────────────────────────────────────────────────────────────────────────────────────

HANDS = {
    "UPDATE posting SET file = 2": "postings stand in it, and there is no such file",
    "UPDATE posting SET file = NULL WHERE payment_id <> subject": "it holds 2 postings, and 1 stand in it",
    "UPDATE posting SET state = 'sent' WHERE payment_id <> subject": "1 of its postings are not posted",
    "UPDATE posting_file_head SET number = 3": "the last file is number 3, and there are 1",
    "UPDATE posting_file SET state = 'made'": "an open posting file, and nobody works on it",
}


@pytest.mark.unsound("hands in the database")
@pytest.mark.parametrize("hand", HANDS)
async def test_a_hand_in_the_files_is_found(database: Database, clock: FrozenClock, tmp_path: Path, hand: str) -> None:
    one = Files(database, clock, tenant(), tmp_path)
    await one.units.write(lambda tx: refunded(tx, one.tenant, paid(tx, one.tenant, charged(tx, one.tenant))))
    await one.round()
    assert await one.units.read(examine) == []

    def done(tx: Tx) -> int:
        return tx.execute(text(hand)).rowcount

    assert await one.units.write(done) > 0
    assert any(finding.says.endswith(HANDS[hand]) for finding in await one.units.read(examine))
