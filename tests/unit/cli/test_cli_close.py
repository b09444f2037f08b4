"""`fhirpay close`: a day is shown, signed, opened again, signed once more and printed, the same each time."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pypdf import PdfReader

from fhirpay.config import load
from fhirpay.ledger.chain import digest
from fhirpay.smart import heads
from fhirpay.smart.keys import KeyRing
from fhirpay.wiring import build

CONFIG = """
database = "sqlite:///{folder}/x.db"
hash_key = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
log_level = "ERROR"
[[tenants]]
name = "main"
[[tenants.facilities]]
name = "main"
merchant = "main"
zone = "Asia/Kathmandu"
[[tenants.merchants]]
name = "main"
processor = "stripe"
secret_key = "sk_test_none"
[[tenants.tills]]
name = "front"
"""
Run = Callable[..., tuple[int, list[str]]]


def test_a_day_is_signed_reopened_signed_again_and_printed_the_same(run: Run, config: Path) -> None:
    assert run("migrate")[0] == 0
    assert run("close", "show")[1][-1] == "it can be signed"
    shown = json.loads(run("close", "show", "--json")[1][-1])
    assert (shown["zone"], shown["blocked"], shown["money"]) == ("Asia/Kathmandu", [], [])
    assert run("close", "sign")[1] == ["fhirpay: by: this is needed: it is kept with the close [rule-broken]"]
    who = ("--by", "Łucja <kim>", "--reason", "@home")
    first = json.loads(run("close", "sign", *who, "--json")[1][-1])
    assert (first["number"], first["again"], first["state"]) == (1, False, "closed")
    assert f"'main' is closed already for {first['day']}: {first['close']}" in run("close", "sign", *who)[1][0]
    assert "is closed for" in run("close", "sign", "--by", "ben")[1][0]
    assert run("close", "reopen", first["close"], "--by", "eve")[1][-1].startswith("fhirpay: why: this is needed")
    assert run("close", "reopen", first["close"], "--by", "eve", "--why", "too early")[0] == 0
    second = json.loads(run("close", "sign", *who, "--json")[1][-1])
    assert (second["number"], second["replaces"]) == (2, first["close"])
    kept = f"{second['close']}:{second['hash']}"
    assert run("close", "verify", "--kept", kept) == (0, ["the closes are whole"])
    status, gone = run("close", "verify", "--kept", kept.replace(second["close"], "cls-other"))
    assert (status, gone[0]) == (1, "cls-other: it was signed, and is not there any more")
    assert "write cls01" in run("close", "verify", "--kept", second["close"])[1][-1]
    listed = [json.loads(one) for one in run("close", "list", "--till", "-", "--json")[1]]
    assert [(one["close"], one["state"]) for one in listed] == [
        (second["close"], "closed"),
        (first["close"], "reopened"),
    ]
    assert len(run("close", "list")[1]) == 2
    status, said = run("close", "list", "--last", "-1")
    assert (status, "Invalid value for '--last'" in "".join(said)) == (2, True)

    text = run("close", "print", second["close"])[1][0]
    assert digest(text) == second["hash"]
    files = [[config.parent / f"{number}.{kind}" for kind in ("pdf", "csv")] for number in (1, 2)]
    for pdf, csv in files:
        assert run("close", "print", second["close"], "--pdf", str(pdf), "--csv", str(csv))[0] == 0
    (pdf, csv), again = files
    assert [one.read_bytes() for one in again] == [pdf.read_bytes(), csv.read_bytes()]
    assert "close,reason,'@home\r\n" in csv.read_bytes().decode()
    seen = " ".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf.read_bytes())).pages)
    for part in (second["close"], "too early", "\\u0141ucja <kim>", "@home", "Open points"):
        assert part in seen
    assert "already: name another one" in run("close", "print", second["close"], "--csv", str(csv))[1][0]


def test_a_wrong_word_is_a_sentence(run: Run) -> None:
    assert run("migrate")[0] == 0
    for words, says in (
        (("--day", "tomorrow"), "'tomorrow' is no day such as 2026-03-31"),
        (("--facility", "nowhere"), "there is no facility 'nowhere'"),
        (("--batch", "1.00"), "a terminal's batch is of a till: name it"),
        (("--till", "front", "--batch", "1.001"), "more decimals than USD allows"),
        (("--till", "nowhere"), "there is no till 'nowhere'"),
        (("--day", "2999-01-01"), "has not begun at 'main'"),
    ):
        status, said = run("close", "sign", "--by", "kim", *words)
        assert (status, says in said[-1]) == (1, True), said
    assert run("close", "print", "cls-none")[1] == ["fhirpay: there is no close cls-none [not-found]"]


async def test_beside_a_running_server_it_is_the_server_that_signs_and_the_head_is_signed_by_our_key(
    run: Run, config: Path
) -> None:
    _with_key(config)
    assert (await asyncio.to_thread(run, "migrate"))[0] == 0
    settings = load(config)
    system = build(settings)
    await system.database.start()
    socket = system.admin_socket()
    assert socket is not None
    await socket.start()
    try:
        who = ("--by", "kim", "--json")
        status, said = await asyncio.to_thread(run, "close", "sign", *who)
        done = json.loads(said[-1])
        assert (status, done["number"]) == (0, 1)
        (text,) = (await asyncio.to_thread(run, "close", "print", done["close"]))[1]
        head = json.loads(text)["ledger"]
        keys = heads.public_keys(json.dumps(KeyRing(settings.tenants[0].keys).published()))
        assert heads.read(head["signed"], keys).head == f"{head['seq']}:{head['hash']}"
        reopen = ("close", "reopen", done["close"], "--by", "eve", "--why", "too early")
        assert (await asyncio.to_thread(run, *reopen))[1][-1].endswith("is opened again: close that day once more")
    finally:
        await socket.stop()
        await system.close()
        await system.database.stop()


def _with_key(config: Path) -> None:
    key = ec.generate_private_key(ec.SECP384R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (config.parent / "key.pem").write_bytes(key)
    config.write_text(config.read_text() + f'[[tenants.keys]]\nprivate_key = "{config.parent}/key.pem"\n')
