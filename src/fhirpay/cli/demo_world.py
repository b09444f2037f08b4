"""The demo's world: a folder, a configuration written into it, and three servers on loopback in this process.

The simulated processor and the simulated EHR have books of their own and speak HTTP, FHIR and MLLP like strangers.
What the demo was, it can be again: killed at any point and started with `--resume`, it goes on where it was.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from .. import log
from ..app import listen, served, serving
from ..config import Settings, load
from ..db.migrations import migrate
from ..domain.clock import SystemClock
from ..simulators import ehr, processor
from ..wiring import System, build

PREFERRED = {"http": 8080, "mllp": 2575, "processor": 8091, "ehr": 8092}
TOKENS = {"ehr": "demo-ehr-token", "client": "demo-client-token", "processor": "demo-processor-key"}
WEBHOOK_SECRET = "demo-webhook-secret"  # noqa: S105 a simulator's, on loopback
_ZONE = "America/New_York"  # the clinic's, whose day it is
_CONFIG = """\
# Written by `fhirpay demo`. Serve with it: fhirpay serve --config {folder}/fhirpay.toml (after the demo has ended).
database = "{database}"
http_port = {http}
hash_key = "demo-only-hash-key-of-32-characters"
log_level = "WARNING"
poll_s = 0.5

[[tenants]]
name = "main"

[[tenants.merchants]]
name = "main"
processor = "simulated"
base_url = "http://127.0.0.1:{processor}"
secret_key = "{processor_key}"
webhook_secrets = ["{webhook_secret}"]
descriptor = "MAIN STREET CLINIC"
private_network = true

[[tenants.facilities]]
name = "main"
zone = "{zone}"
merchant = "main"
organization = "clinic"
policy = "autopay"
autopay_cap = "100.00"

[[tenants.interfaces]]
name = "clinic"
mllp_port = {mllp}
namespace = "urn:clinic"
account_key = "PID-18"
co_means = "due"
carries_coverage = true

[[tenants.connections]]
name = "ehr"
base_url = "http://127.0.0.1:{ehr}/fhir"
token = "{ehr_token}"
organization = "clinic"
index_settles_s = 1
private_network = true

[[tenants.clients]]
name = "ehr"
token = "{client_token}"
interface = "clinic"
"""


@dataclass(frozen=True, slots=True)
class World:
    """Everything up. `day` is the day on which the demo began, `YYYYMMDD`."""

    system: System
    day: str
    processor_url: str
    ehr_url: str
    mllp_port: int


def prepare(folder: Path, *, resume: bool, database: str, first_port: int) -> tuple[Settings, str]:
    """The configuration and the day; a new folder, or with `resume` the one that is there.

    `database` is a PostgreSQL URL in the place of a SQLite file in the folder; `first_port` is the first of four in a
    row, 0 for the usual ones, or any where those are taken.
    """
    config, day = folder / "fhirpay.toml", folder / "day"
    if not (resume and config.exists() and day.exists()):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if first_port:
            ports = {name: first_port + number for number, name in enumerate(PREFERRED)}
        else:
            ports = {name: _free(port) for name, port in PREFERRED.items()}
        secrets = {f"{name}_token": token for name, token in TOKENS.items()}
        text = _CONFIG.format(
            folder=folder.resolve(),
            zone=_ZONE,
            database=database or f"sqlite:///{folder.resolve()}/fhirpay.db",
            **ports,
            **secrets,
            processor_key=TOKENS["processor"],
            webhook_secret=WEBHOOK_SECRET,
        )
        day.write_text(f"{SystemClock().now().astimezone(ZoneInfo(_ZONE)):%Y%m%d}", encoding="utf-8")
        config.write_text(text, encoding="utf-8")
    # Nothing else of the environment: it may name a database that isn't for demos.
    environ = {name: value for name, value in os.environ.items() if name == "FHIRPAY_LOG_LEVEL"}
    settings = load(config, environ=environ)
    log.setup(settings.log_level)
    migrate(settings.database)
    return settings, day.read_text(encoding="utf-8")


def _free(preferred: int) -> int:
    """The preferred port, or any free one."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise AssertionError("the system always has a free port")


@contextlib.asynccontextmanager
async def world(folder: Path, *, resume: bool = False, database: str = "", first_port: int = 0) -> AsyncIterator[World]:
    """fhirpay with all roles, the processor and the EHR, up for the length of the block."""
    settings, day = prepare(folder, resume=resume, database=database, first_port=first_port)
    tenant = settings.tenants[0]
    merchant, connection = tenant.merchants[0], tenant.connections[0]
    system = build(settings)
    processor_app = processor.create_app(
        folder / "processor.db",
        secret_key=merchant.secret_key,
        webhook_url=f"{settings.base_url}/webhooks/simulated/main",
        webhook_secrets=merchant.webhook_secrets,
    )
    ehr_app = ehr.create_app(folder / "ehr.db", token=connection.token, organization="clinic")
    async with contextlib.AsyncExitStack() as stack:
        for app, url in ((processor_app, merchant.base_url), (ehr_app, connection.base_url)):
            bound = listen("127.0.0.1", int(url.split(":")[2].partition("/")[0]))
            await stack.enter_async_context(served(app, bound))
        await stack.enter_async_context(serving(system))
        yield World(system, day, merchant.base_url, connection.base_url, tenant.interfaces[0].mllp_port or 0)
