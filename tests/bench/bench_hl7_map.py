"""A DFT^P03 with four FT1 → validated FHIR R4 resources, equal to the golden ones, against the bare parse of the same
message: forty named values by our reader (as bench_hl7_parse takes them), every part of it by our reader, and by `hl7`.
The figure is messages a CPU-second; CPU is compared with CPU, so that neighbours on the machine count for little.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import hl7
from bench_hl7_parse import PATHS
from harness import a_b_a, row

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fhirpay.config import Facility
from fhirpay.fhir.json import dumps, loads
from fhirpay.fhir.validation import validate
from fhirpay.hl7.reader import Message
from fhirpay.mapping import loader
from fhirpay.mapping.engine import map_message
from golden_messages import GOLDEN

FILE = GOLDEN / "dft_p03" / "four_charges_of_a_visit.hl7"
TEXT = FILE.read_text(encoding="utf-8").replace("\n", "\r")
PROFILE = loader.interface("sample")
MAPS = loader.load("sample")
FACILITY = Facility(name="main")


def mapped() -> list[dict[str, object]]:
    resources = map_message(Message.parse(TEXT), PROFILE, FACILITY, maps=MAPS).resources()
    for resource in resources:
        validate(resource)
    return resources


def parsed() -> list[str]:
    return Message.parse(TEXT).take(PATHS)


def taken_apart() -> list[str]:
    """Every subcomponent, decoded."""
    return [
        part
        for segment in Message.parse(TEXT).all_segments()
        for field in range(1, segment.count + 1)
        for repetition in range(1, segment.repetitions(field) + 1)
        for component in range(1, len(segment.field(field, repetition)) + 1)
        for part in segment.subcomponents(field, component, repetition)
    ]


def per_cpu_second(work: Callable[[], object], messages: int) -> float:
    start = time.process_time()
    for _ in range(messages):
        work()
    return messages / (time.process_time() - start)


if __name__ == "__main__":
    (golden,) = loads(b'{"golden":' + FILE.with_suffix(".json").read_bytes() + b"}")["golden"]
    expected = [entry["resource"] for entry in golden["bundle"]["entry"]]
    assert dumps(mapped()) == dumps(expected), "mapped to something else than the golden resources"
    assert sum(one["resourceType"] == "ChargeItem" for one in expected) == 4
    contenders = {"values": parsed, "parts": taken_apart, "hl7": lambda: hl7.parse(TEXT)}
    for name, parse in contenders.items():
        ours, bare, parses = a_b_a(lambda: per_cpu_second(mapped, 30), partial(per_cpu_second, parse, 500))
        row(f"hl7_map/{name}", ours, "messages/CPU-second", f"{name}: {bare:.0f} messages/CPU-second", 1 / parses)
