"""The commands as an analyst runs them: what is printed, where, and with which status."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from typer.testing import CliRunner, Result

from fhirpay.cli.main import app
from fhirpay.fhir.json import dumps, loads
from fhirpay.fhir.validation import validate
from intake_world import ft1, message

SAMPLES = sorted((Path(__file__).resolve().parents[2] / "samples").glob("*.hl7"))
NOT_MAPPED = {
    "oie-batch-fhs-bhs.hl7": "there is no map for ORM messages",
}
FHIRPAY = Path(sys.executable).with_name("fhirpay")
CHARGE = ft1(1, "CG", "100.00&USD")

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A command in an empty folder, without configuration but what it is given."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("FHIRPAY_")]:
        monkeypatch.delenv(name)
    logger = logging.getLogger("fhirpay")
    before = (logger.handlers, logger.level, logger.propagate)
    yield lambda *arguments: CliRunner().invoke(app, [str(one) for one in arguments])
    logger.handlers, logger.level, logger.propagate = before[0], before[1], before[2]


def configured(folder: Path, database: str, *, port: int = 8080, rules: str = "") -> Path:
    path = folder / "fhirpay.toml"
    path.write_text(
        f"""
database = "{database}"
hash_key = "{"k" * 32}"
log_level = "ERROR"
http_port = {port}

[[tenants]]
name = "main"

[[tenants.merchants]]
name = "main"
processor = "simulated"
base_url = "https://processor.example"
secret_key = "k"

[[tenants.facilities]]
name = "main"
bill_hold_days = 0

[[tenants.interfaces]]
name = "clinic"
account_key = "PID-18"
carries_coverage = true
self_pay_classes = ["SP"]
{rules}
""",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Path:
    """A configuration on a migrated database of each engine."""
    return configured(tmp_path, database_url)


def feed(folder: Path, *messages: bytes, name: str = "feed.hl7") -> Path:
    path = folder / name
    path.write_bytes(b"".join(messages))
    return path


# ── map ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_map_gives_a_bundle_or_says_why_not(run: Run, path: Path) -> None:
    result = run("map", path, "--json")
    lines = [loads(line) for line in result.stdout.splitlines()]
    if path.name in NOT_MAPPED:
        assert result.exit_code == 1
        assert [line["resourceType"] for line in lines] == ["OperationOutcome"]
        assert NOT_MAPPED[path.name] in result.stdout
    else:
        assert result.exit_code == 0
        assert {(line["resourceType"], line["type"]) for line in lines} == {("Bundle", "transaction")}


def test_map_as_a_message_puts_header_and_provenance_around_what_it_says(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "feed.hl7"
    file.write_bytes(next(path for path in SAMPLES if path.name == "ADT-A01-01.hl7").read_bytes())
    (bundle,) = [loads(line) for line in run("map", file, "--message").stdout.splitlines()]
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert (bundle["type"], kinds[0], kinds[-1]) == ("message", "MessageHeader", "Provenance")
    urls = {entry["fullUrl"] for entry in bundle["entry"]}
    assert {one["reference"] for one in bundle["entry"][-1]["resource"]["target"]} <= urls
    validate(bundle)


def test_map_strict_says_by_location_what_departs_from_the_standard(run: Run, tmp_path: Path) -> None:
    late = ft1(1, "CG", "100.00&USD", {4: "", 6: "CG"})
    sound, wrong = message("M1", CHARGE), message("M2", late, pid={8: "SECRETVALUE"})
    result = run("map", feed(tmp_path, sound, wrong), "--strict")
    assert result.exit_code == 1
    lines = [line.strip() for line in result.stdout.splitlines() if line.startswith(("   error ", "   warning "))]
    assert any(line.startswith("error FT1-4: ") for line in lines)
    assert any(line.startswith("warning PID-8: ") for line in lines)
    assert not any("SECRETVALUE" in line for line in lines)
    assert run("map", feed(tmp_path, wrong)).exit_code == 0
    (first, checked, second, found) = run("map", feed(tmp_path, sound, wrong), "--strict", "--json").stdout.splitlines()
    assert [loads(line)["resourceType"] for line in (first, second)] == ["Bundle", "Bundle"]
    assert {"resourceType": loads(checked)["resourceType"]} == {"resourceType": "OperationOutcome"}
    issues = {(issue["severity"], *issue["location"]) for issue in loads(found)["issue"]}
    assert {("error", "FT1-4"), ("warning", "PID-8")} <= issues
    assert [place for _, place in sorted(issues, key=lambda one: one[1])] == [
        issue["location"][0] for issue in loads(found)["issue"]
    ]


def test_map_strict_is_content_with_a_message_by_the_book(run: Run, tmp_path: Path) -> None:
    good = b"MSH|^~\\&|A|B|C|D|20261120||ADT^A04^ADT_A01|M1|P|2.5.1\rEVN|A04|20261120\r"
    good += b"PID|1||P1^^^H^MR||EXAMPLE^PAT|||||||||||||A77\rPV1|1|O\r"
    result = run("map", feed(tmp_path, good), "--strict", "--json")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 2)
    (issue,) = loads(result.stdout.splitlines()[1])["issue"]
    assert issue["severity"] == "information"
    assert "0 departures from HL7 2.5.1" in run("map", feed(tmp_path, good), "--strict").stdout
    unreadable = run("map", feed(tmp_path, b"no message\r"), "--strict", "--json")
    assert (unreadable.exit_code, len(unreadable.stdout.splitlines())) == (1, 1)


def test_map_keeps_every_digit_and_goes_on_after_a_bad_message(run: Run, tmp_path: Path) -> None:
    bad, good = message("M1", CHARGE, pid={3: ""}), message("M2", ft1(1, "CG", "100.500&USD"))
    result = run("map", feed(tmp_path, bad, good), "--json")
    assert result.exit_code == 1
    first, second = result.stdout.splitlines()
    assert loads(first)["resourceType"] == "OperationOutcome"
    assert '"value":100.500' in second.replace(" ", "")


def test_map_for_people_and_with_its_reasons(run: Run, tmp_path: Path) -> None:
    result = run("map", feed(tmp_path, message("M1", CHARGE, ft1(2, "AJ", "1.00&USD"))), "--explain")
    assert result.exit_code == 0
    assert result.stdout.startswith("── message 1: DFT^P03 M1\n")
    assert "this line waits for a human" in result.stdout
    assert "   " in result.stdout.splitlines()[-1]


def test_map_shows_segment_fhir_and_what_becomes_owed_side_by_side(run: Run, tmp_path: Path) -> None:
    text = run("map", feed(tmp_path, message("M1", CHARGE), message("M2", CHARGE, account=""))).stdout
    lines = text.splitlines()
    assert max(len(line) for line in lines if "│" in line) <= 120
    charge = next(line for line in lines if line.startswith("FT1|1|T1"))
    assert [part.strip() for part in charge.split(" │ ")][1:] == ["ChargeItem", "charge T1: 100.00 USD may be"]
    assert any("priceOverride 100.00 USD" in line for line in lines)
    assert "refused at the gate, nothing would be kept: PID-18" in text
    as_json = run("map", tmp_path / "feed.hl7", "--json", "--owed").stdout.splitlines()
    (owed,) = loads(as_json[1])["owed"]
    assert (owed["basis"], str(owed["askable"]), owed["account"]) == ("T1", "100.00", "A100")
    assert (loads(as_json[3])["refused"], loads(as_json[3])["owed"]) == ("required-missing", [])


def test_map_shows_the_working_copy_and_releases_it(run: Run, tmp_path: Path, config: Path) -> None:
    own = tmp_path / "maps"
    (own / "clinic").mkdir(parents=True)
    (own / "clinic" / "charges.yaml").write_text("rules:\n  - {rule: charge, status: planned}\n")
    text = config.read_text().replace('name = "clinic"', 'name = "clinic"\nmapping = "clinic"')
    config.write_text(f'mappings = "{own}"\n{text}')
    show = ("map", feed(tmp_path, message("M1", CHARGE)), "--interface", "clinic", "--config", config)
    assert '"planned"' in run(*show, "--json").stdout
    assert f"{own}/clinic/charges.yaml:2" in run(*show, "--explain").stdout
    early = run("ingest", tmp_path / "feed.hl7", "--config", config)
    assert (early.exit_code, "run `fhirpay map release`" in early.stderr) == (2, True)
    made = run("map", "release", "--by", "ann", "--config", config)
    assert (made.exit_code, "released by ann" in made.stdout) == (0, True)
    assert run("ingest", tmp_path / "feed.hl7", "--config", config).exit_code == 0
    _a_change_is_seen_before_it_is_released(run, tmp_path, own, config)
    config.write_text(text)
    nothing = run("map", "release", "--config", config)
    assert (nothing.exit_code, "set `mappings`" in nothing.stderr) == (2, True)


def _a_change_is_seen_before_it_is_released(run: Run, tmp_path: Path, own: Path, config: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    feed(corpus, message("M1", CHARGE), message("M2", CHARGE, account="A200", pv1={20: "BC"}))
    against = ("--against", corpus, "--interface", "clinic", "--config", config)
    same = run("map", *against)
    assert (same.exit_code, same.stdout) == (0, "2 messages: 0 differ in FHIR, 0 amounts differ\n")
    (own / "clinic" / "charges.yaml").write_text("rules:\n  - {rule: charge, enteredDate: null}\n")
    other = run("map", *against)
    assert other.exit_code == 1
    assert "ChargeItem BILLING/CLINIC|A100|T1|CG.status: planned → billable" in other.stdout
    assert "account A100, charge T1: (nothing) → 100.00 USD may be asked for" in other.stdout
    assert "2 messages: 2 differ in FHIR, 2 amounts differ" in other.stdout
    assert run("map", *against, "--accept").exit_code == 0
    as_json = run("map", *against, "--json").stdout.splitlines()
    assert [one["what"] for one in loads(as_json[-1])["money"]] == [
        "account A100, charge T1",
        "account A200, charge T1",
    ]
    refused = run("map", "release", *against)
    assert (refused.exit_code, "not released: money differs" in refused.stderr) == (1, True)
    assert run("map", "release", *against, "--accept").exit_code == 0
    assert len(json.loads((own / "released" / "releases.jsonl").read_text().splitlines()[-1])["accepted"]) == 2
    assert run("map", *against).exit_code == 0


def test_map_as_json_keeps_what_waits_for_a_person_out_of_the_bundles(run: Run, tmp_path: Path) -> None:
    result = run("map", feed(tmp_path, message("M1", CHARGE, ft1(2, "AJ", "1.00&USD"))), "--json", "--explain")
    (line,) = result.stdout.splitlines()
    assert loads(line)["resourceType"] == "Bundle"
    assert "fhirpay: message 1: FT1[2]-7: this line waits for a human" in result.stderr


def test_map_against_expected_bundles_compares_to_the_last_digit(run: Run, tmp_path: Path) -> None:
    path, folder = feed(tmp_path, message("M1", CHARGE)), tmp_path / "expected"
    missing = run("map", path, "--expected", folder)
    assert missing.exit_code == 1
    assert f"there is no {folder / 'M1.json'} to compare with" in missing.stderr
    folder.mkdir()
    bundle = loads(run("map", path, "--json").stdout)
    (folder / "M1.json").write_text(dumps(bundle, indent=2))
    assert run("map", path, "--expected", folder).exit_code == 0
    (folder / "M1.json").write_text(dumps(bundle).replace("100.00", "100.0"))
    differs = run("map", path, "--expected", folder)
    assert differs.exit_code == 1
    assert f"message 1 differs from {folder / 'M1.json'}" in differs.stderr
    (folder / "M1.json").write_text("{")
    assert run("map", path, "--expected", folder).exit_code == 2


def test_map_says_what_to_mend(run: Run, tmp_path: Path) -> None:
    missing = run("map", tmp_path / "none.hl7")
    assert (missing.exit_code, "can't be read" in missing.stderr) == (2, True)
    other = run("map", feed(tmp_path, message("M1", CHARGE)), "--interface", "nowhere")
    assert (other.exit_code, "nowhere" in other.stderr, "Traceback" in other.output) == (2, True, False)


# ── ingest and replay, on the database itself ─────────────────────────────────────────────────────────────────────────


def test_ingest_says_of_each_message_what_became_of_it(run: Run, tmp_path: Path, config: Path) -> None:
    quiet = message("M3", ft1(2, "CG", "1&USD"), header={15: "NE", 16: "NE"})
    path = feed(tmp_path, message("M1", CHARGE), message("M2", CHARGE, account=""), quiet)
    result = run("ingest", path, "--config", config)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "feed.hl7 message 1: AA",
        "feed.hl7 message 2: AE PID-18 PID-18 names the account on this interface and is empty",
        "feed.hl7 message 3: AA",
    ]
    again = run("ingest", feed(tmp_path, message("M1", CHARGE), name="again.hl7"), "--config", config)
    assert (again.exit_code, again.stdout) == (0, "again.hl7 message 1: AA\n")


def test_ingest_warns_of_a_trailer_that_does_not_add_up_and_takes_the_rest(
    run: Run, tmp_path: Path, config: Path
) -> None:
    path = feed(tmp_path, b"BHS|^~\\&\r", message("M1", CHARGE), b"BTS|2\r")
    result = run("ingest", path, "--config", config)
    assert (result.exit_code, result.stdout) == (0, "feed.hl7 message 1: AA\n")
    assert "feed.hl7: BTS-1 says 2 messages, 1 were found" in result.stderr


def test_ingest_says_what_to_mend(run: Run, tmp_path: Path, config: Path) -> None:
    path = feed(tmp_path, message("M1", CHARGE))
    other = run("ingest", path, "--interface", "lab", "--config", config)
    assert (other.exit_code, "there is no interface 'lab'; defined: clinic" in other.stderr) == (2, True)
    missing = run("ingest", tmp_path / "none.hl7", "--config", config)
    assert (missing.exit_code, "none.hl7 can't be read" in missing.stderr) == (2, True)
    assert run("ingest", path, "--config", tmp_path / "none.toml").exit_code == 2
    assert run("ingest").exit_code == 2


def test_replay_queues_again_what_is_named(run: Run, tmp_path: Path, config: Path) -> None:
    run("ingest", feed(tmp_path, message("M1", CHARGE)), "--config", config)
    pending = run("replay", "M1", "--config", config)
    assert (pending.exit_code, pending.stdout) == (0, "0 queued again\n")  # it has not been worked on yet
    assert run("replay", "--parked", "--config", config).stdout == "0 queued again\n"
    found = run("messages", "--control-id", "M1", "--since", "2020-01-01", "--config", config)
    assert found.stdout.rstrip().endswith("received  DFT^P03 M1 from clinic, account A100")
    (as_json,) = run("messages", "--state", "received", "--json", "--config", config).stdout.splitlines()
    assert (json.loads(as_json)["controlId"], json.loads(as_json)["accounts"]) == ("M1", ["A100"])
    assert run("messages", "--account", "A9", "--config", config).stdout == ""
    for wrong in (["--state", "gone"], ["--since", "yesterday"]):
        assert run("messages", *wrong, "--config", config).exit_code == 2
    look = run("replay", "--type", "DFT", "--preview", "--config", config)
    assert "charge T1: (nothing) → 100.00 USD may be asked for" in look.stdout
    assert run("replay", "--type", "DFT", "--config", config).stdout == "0 queued again\n"
    unknown = run("replay", "M9", "--config", config)
    assert unknown.exit_code == 1
    assert unknown.stderr == "fhirpay: there is no message with the control id or message id M9 [not-found]\n"
    aside = run("replay", "M1", "--ignore", "a test", "--config", config)
    assert (aside.exit_code, "no message named M1 is parked" in aside.stderr) == (1, True)
    for wrong in ([], ["M1", "--parked"], ["--parked", "--ignore", "a test"], ["--ignore", "a test"]):
        assert run("replay", *wrong, "--config", config).exit_code == 2


# ── migrate, explain, ledger ──────────────────────────────────────────────────────────────────────────────────────────


def test_migrate_makes_the_schema_and_may_be_repeated(run: Run, tmp_path: Path) -> None:
    config = configured(tmp_path, f"sqlite:///{tmp_path}/new.db")
    before = run("ledger", "verify")
    assert (before.exit_code, "run `fhirpay migrate`" in before.stderr) == (2, True)
    for _ in range(2):
        assert run("migrate", "--config", config).stdout == "the schema is up to date\n"
    assert run("ledger", "verify").exit_code == 0  # ./fhirpay.toml is found by itself


def test_migrate_names_a_database_that_it_does_not_know(run: Run, tmp_path: Path) -> None:
    result = run("migrate", "--config", configured(tmp_path, "mysql://u:secret@host/db"))
    assert result.exit_code == 2
    assert "sqlite:///PATH" in result.stderr
    assert "secret" not in result.output


def test_a_database_that_can_not_be_used_is_said_in_a_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database" * 100)
    for database, says in (
        (f"sqlite:///{tmp_path}/text.db", "file is not a database"),
        ("postgresql://u:secret@127.0.0.1:9/x", "Connection refused"),
        (f"sqlite:///{tmp_path}/text.db/x/y.db", "Not a directory"),
    ):
        result = run("migrate", "--config", configured(tmp_path, database))
        assert (result.exit_code, result.stdout) == (1, "")
        assert says in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert "secret" not in result.stderr


def test_explain_an_unknown_id_says_so(run: Run, config: Path) -> None:
    result = run("explain", "nothing", "--config", config)
    assert result.exit_code == 1
    assert result.stderr.startswith("fhirpay: ")
    assert result.stderr.endswith("[not-found]\n")


def test_explain_a_message_as_text_and_as_json(run: Run, tmp_path: Path, config: Path) -> None:
    run("ingest", feed(tmp_path, message("M1", CHARGE)), "--config", config)
    text = run("explain", "M1", "--config", config)
    assert (text.exit_code, "message M1: DFT^P03 from clinic by file" in text.stdout) == (0, True)
    as_json = run("explain", "M1", "--json", "--config", config)
    assert as_json.exit_code == 0
    assert json.loads(as_json.stdout)


def test_ledger_is_verified_exported_and_verified_offline(run: Run, tmp_path: Path, config: Path) -> None:
    whole = run("ledger", "verify", "--json", "--config", config)
    assert whole.exit_code == 0
    report = json.loads(whole.stdout)
    assert (report["entries"], report["problems"]) == (0, [])
    export = tmp_path / "ledger.jsonl"
    export.write_text(run("ledger", "export", "--config", config).stdout, encoding="utf-8")
    assert run("ledger", "verify", export).exit_code == 0
    cut = run("ledger", "verify", export, "--head", f"7:{'a' * 64}")
    assert (cut.exit_code, "the ledger is not whole" in cut.stderr) == (1, True)


def test_ledger_says_what_to_mend(run: Run, tmp_path: Path) -> None:
    head = run("ledger", "verify", tmp_path / "none.jsonl", "--head", "7")
    assert (head.exit_code, "a ledger head looks like" in head.stderr) == (1, True)
    missing = run("ledger", "verify", tmp_path / "none.jsonl")
    assert (missing.exit_code, "none.jsonl can't be read" in missing.stderr) == (2, True)


# ── beside a running server ───────────────────────────────────────────────────────────────────────────────────────────


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(config: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([str(FHIRPAY), "serve", "--config", str(config)], cwd=config.parent)
    try:
        ends = time.monotonic() + 30
        while not _ready(port):
            assert process.poll() is None
            assert time.monotonic() < ends
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


def _ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


def until(run: Run, config: Path, said: str, *command: str) -> str:
    """What the command prints, once it says this."""
    ends = time.monotonic() + 15
    while said not in (found := run(*command, "--config", config).stdout):
        assert time.monotonic() < ends, found
        time.sleep(0.1)
    return found


def test_commands_go_through_the_server_that_holds_the_database(run: Run, tmp_path: Path) -> None:
    port = free_port()
    config = configured(tmp_path, f"sqlite:///{tmp_path}/fhirpay.db", port=port)
    assert run("migrate", "--config", config).exit_code == 0
    with serving(config, port) as server:
        socket_path = tmp_path / "fhirpay.db.sock"
        assert socket_path.stat().st_mode & 0o777 == 0o600
        parks = message("M2", ft1(2, "CD", "-30.00&USD"))
        result = run("ingest", feed(tmp_path, message("M1", CHARGE), parks), "--config", config)
        assert (result.exit_code, result.stdout.count(": AA")) == (0, 2)
        until(run, config, "applied", "explain", "M1")
        until(run, config, "FT1[1]-11", "explain", "M2")
        assert run("replay", "--parked", "--config", config).stdout.endswith("1 queued again\n")
        unknown = run("replay", "M9", "--config", config)
        assert (unknown.exit_code, "[not-found]" in unknown.stderr) == (1, True)
        until(run, config, "FT1[1]-11", "explain", "M2")
        aside = run("replay", "M2", "--ignore", "sent in error", "--config", config)
        assert aside.stdout.endswith("1 set aside\n")
        second = subprocess.run(
            [str(FHIRPAY), "serve", "--config", str(config)], capture_output=True, timeout=30, check=False
        )
        assert (second.returncode, b"serve is running" in second.stderr) == (2, True)
        server.send_signal(signal.SIGKILL)
        server.wait()
    # A server that was killed leaves its socket: the next command opens the database itself, and all is there.
    assert socket_path.exists()
    kept = run("ingest", feed(tmp_path, message("M1", CHARGE), message("M3", CHARGE)), "--config", config)
    assert (kept.exit_code, kept.stdout.count(": AA")) == (0, 2)
    assert "100.00 USD" in run("explain", "M1", "--config", config).stdout
    assert run("ledger", "verify", "--config", config).exit_code == 0


def test_a_server_that_is_told_to_stop_ends_well_and_takes_its_socket_with_it(run: Run, tmp_path: Path) -> None:
    port = free_port()
    config = configured(tmp_path, f"sqlite:///{tmp_path}/fhirpay.db", port=port)
    run("migrate", "--config", config)
    with serving(config, port) as server:
        server.terminate()
        assert server.wait(timeout=20) == 0
    assert not (tmp_path / "fhirpay.db.sock").exists()


def test_replay_after_the_profile_was_mended(run: Run, tmp_path: Path) -> None:
    """The operator's whole story: it parks, the profile is mended, the server started again, the message replayed."""
    port = free_port()
    config = configured(tmp_path, f"sqlite:///{tmp_path}/fhirpay.db", port=port)
    run("migrate", "--config", config)
    with serving(config, port):
        run("ingest", feed(tmp_path, message("M1", CHARGE, ft1(2, "CD", "-30.00&USD"))), "--config", config)
        until(run, config, "parked", "explain", "M1")
    configured(tmp_path, f"sqlite:///{tmp_path}/fhirpay.db", port=port, rules='credit_sign = "signed"')
    with serving(config, port):
        assert run("replay", "M1", "--config", config).stdout.endswith("1 queued again\n")
        assert "-30.00 USD" in until(run, config, "applied", "explain", "M1")
