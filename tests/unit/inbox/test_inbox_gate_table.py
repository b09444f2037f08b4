"""Gate result × HL7 version: each cell sends a message and compares the acknowledgement byte by byte.

The expected bytes are in tests/golden/gate/acks.txt, one segment a line where the wire has CR. They were written from
the standard's rules (what stands where by version), not from our output; read them as the interface specification.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fhirpay.config import Interface
from fhirpay.errors import FhirpayError
from fhirpay.hl7 import ack
from fhirpay.inbox.gate import admit

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "gate" / "acks.txt"
NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
KEY = b"k" * 32
VERSIONS = ("2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.2")
INTERFACE = Interface(name="table", account_key="PID-18", required=("PID-3.1", "FT1-2"))


def _old(version: str) -> bool:
    return version in ("2.1", "2.2")


def message(version: str, result: str) -> bytes:
    """A DFT as that version writes it, with the one thing wrong that `result` names."""
    kind = {"2.1": "DFT", "2.2": "DFT^P03", "2.3": "DFT^P03"}.get(version, "DFT^P03^DFT_P03")
    event, control, processing, stated = "P03", "M-0001", "P", version
    amount = "125.50" if _old(version) else "125.50&USD"
    transaction, account, note = "T-1", "A-77^^^HOSP", "paid at the desk"
    match result:
        case "no MSH-10":
            control = ""
        case "bad amount":
            amount = "12..5" if _old(version) else "12..5&USD"
        case "bad currency":
            amount = "125.50&ZZZ"
        case "unknown trigger":
            kind, event = kind.replace("P03", "P99"), "P99"
        case "wrong processing id":
            processing = "T"
        case "unsupported version":
            stated = "2.0" if version < "2.5" else "3.0"
        case "required field missing":
            transaction = ""
        case "missing account":
            account = ""
        case "PAN warning":
            note = "card 4111 1111 1111 1111 on file"
        case _:
            assert result == "accept"
    charset = "" if version < "2.5" else "||||||UNICODE UTF-8"
    lines = (
        f"MSH|^~\\&|ADM|North^1.2.3^ISO|PAY|East|20261120095900||{kind}|{control}|{processing}|{stated}{charset}",
        f"EVN|{event}|20261120095900",
        f"PID|1||P-1^^^HOSP^MR||EXAMPLE^PAT||19800229|F||||||||||{account}",
        f"FT1|1|{transaction}||20261119||CG|99213^Office visit^C4|||1|{amount}",
        f"NTE|1||{note}",
    )
    return ("\r".join(lines) + "\r").encode()


RESULTS = (
    "accept",
    "no MSH-10",
    "bad amount",
    "bad currency",
    "unknown trigger",
    "wrong processing id",
    "unsupported version",
    "required field missing",
    "missing account",
    "PAN warning",
)
CELLS = [(result, version) for result in RESULTS for version in VERSIONS]


def answer(data: bytes) -> bytes:
    """What the intake does with the gate's verdict, in original mode."""
    try:
        admitted = admit(data, INTERFACE, hash_key=KEY)
    except FhirpayError as error:
        return ack.build(ack.header_of(data), error.ack_code or "", control_id="ACK-1", now=NOW, error=error)
    return ack.build(admitted.message, "AA", control_id="ACK-1", now=NOW, remarks=admitted.warnings)


def golden() -> dict[tuple[str, str], bytes]:
    cells: dict[tuple[str, str], bytes] = {}
    key: tuple[str, str] | None = None
    for line in GOLDEN.read_text(encoding="utf-8").splitlines():
        if line.startswith("== "):
            result, _, version = line[3:].partition(" @ ")
            key = (result, version)
            cells[key] = b""
        elif key and line:
            cells[key] += line.encode() + b"\r"
    return cells


def test_golden_table_is_whole() -> None:
    if os.environ.get("FHIRPAY_UPDATE_GOLDEN"):
        blocks = ["# What the gate answers: result @ version; one segment a line, CR on the wire.\n"]
        for result, version in CELLS:
            text = answer(message(version, result)).decode().replace("\r", "\n")
            blocks.append(f"== {result} @ {version}\n{text}")
        GOLDEN.write_text("\n".join(blocks), encoding="utf-8")
    assert list(golden()) == CELLS


@pytest.mark.parametrize(("result", "version"), CELLS)
def test_acknowledgement_has_exactly_these_bytes(result: str, version: str) -> None:
    assert answer(message(version, result)) == golden()[result, version]
