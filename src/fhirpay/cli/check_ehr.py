"""`fhirpay conformance check`: what an EHR can do for us, before the first payment is posted to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..config import Connection
from ..domain.clock import SystemClock
from ..domain.ids import RandomIds
from ..net.pace import Pace
from ..smart.keys import KeyRing
from ..usecases.check_ehr import Report, as_json, as_text, check_ehr
from ..wiring_ehr import ehr_access, ehr_http
from .context import ConfigOption, JsonOption, TenantOption, friendly, out, run, settings, tenant_name

STATUS = {"ready": 0, "not ready": 1, "questions": 3}


def check(
    ehr: Annotated[str, typer.Argument(help="A connection of the configuration, or the address of a FHIR base.")],
    private: Annotated[bool, typer.Option("--private-network", help="An address may be inside, or loopback.")] = False,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json_: JsonOption = False,
) -> None:
    """Say what an EHR can do for us: its FHIR version, tokens and scopes, how postings get there, what is missing.

    It reads and searches, and never writes. Status 0: ready; 3: ready with questions; 1: not ready.
    """
    with friendly():
        connection, keys = _meant(ehr, private, tenant, config)

        async def main() -> Report:
            clock = SystemClock()
            http = ehr_http(connection, connection.base_url, pace=Pace(connection.calls_per_min))
            access = ehr_access(connection, keys, clock, RandomIds(clock))
            try:
                return await check_ehr(connection, http, access, clock)
            finally:
                await access.aclose()
                await http.aclose()

        report = run(main)
        for line in [json.dumps(as_json(report))] if as_json_ else as_text(report):
            out(line)
        if status := STATUS[report.grade]:
            raise typer.Exit(status)


def _meant(ehr: str, private: bool, tenant: str, config: Path | None) -> tuple[Connection, KeyRing]:
    """The connection of that name; for an address, one that has no token."""
    if "://" in ehr:
        return Connection(name="ehr", base_url=ehr, private_network=private), KeyRing(())
    loaded = settings(config)
    owner = loaded.tenant(tenant_name(loaded, tenant))
    return owner.connection(ehr), KeyRing(owner.keys)
