"""Runs of `fhirpay demo` as a process of its own, and a look into the books that the simulators keep."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fhirpay.simulators.ehr_store import Store
from fhirpay.simulators.processor_books import Books

FHIRPAY = Path(sys.executable).with_name("fhirpay")
# Each test process has ports of its own, below those that the system hands out.
PORTS = 18000 + 10 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


@contextmanager
def demo(folder: Path, *options: str, stderr: int = subprocess.STDOUT) -> Iterator[subprocess.Popen[str]]:
    """A demo that ends by itself, its log among its lines."""
    command = [str(FHIRPAY), "demo", "--once", "--folder", str(folder), "--ports", str(PORTS), *options]
    environment = {**os.environ, "FHIRPAY_LOG_LEVEL": "INFO", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment, cwd=folder.parent
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def finished(folder: Path, *options: str) -> tuple[list[str], list[str]]:
    """The lines of a demo that ran to its end, and its log."""
    with demo(folder, *options, stderr=subprocess.PIPE) as process:
        output, logged = process.communicate(timeout=120)
    assert process.returncode == 0, output[-3000:] + logged[-3000:]
    return output.splitlines(), logged.splitlines()


@dataclass(frozen=True)
class Outcome:
    """What is left in the world after a demo: by the EHR's own book, and by the processor's."""

    postings: list[dict[str, Any]]
    payments: list[dict[str, Any]]


def outcome(folder: Path) -> Outcome:
    ehr = Store(folder / "ehr.db")
    processor = Books(folder / "processor.db")
    try:
        postings = [version.resource for version in ehr.everything("PaymentReconciliation")]
        return Outcome(postings, processor.all("payment"))
    finally:
        ehr.close()
        processor.close()


def queue_states(folder: Path) -> dict[str, int]:
    """How many items of work stand in which state."""
    with sqlite3.connect(folder / "fhirpay.db") as connection:
        return dict(connection.execute("SELECT state, count(*) FROM work GROUP BY state").fetchall())


def ledger_is_whole(folder: Path) -> dict[str, Any]:
    """What `fhirpay ledger verify` says; it ends with another status when something is wrong."""
    command = [str(FHIRPAY), "ledger", "verify", "--json", "--config", str(folder / "fhirpay.toml")]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)
