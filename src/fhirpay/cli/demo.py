"""`fhirpay demo`: the whole job on one machine, step by step. Its world: demo_world.py; its people: demo_patients.py.

The demo is an EHR, a payer and a front desk: it sends messages, resources and API calls, and looks at what comes of
them. It reads with `explain`, like anyone, and writes nothing by itself.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer

from ..fhir.json import dumps
from .context import friendly, out
from .demo_play import Play
from .demo_world import World, world

FolderOption = Annotated[Path, typer.Option("--folder", help="Where the demo keeps its files.")]


def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the play; the last line of stdout is JSON.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Only that last line.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a demo that was interrupted.")] = False,
    folder: FolderOption = Path("var/demo"),
    database: Annotated[str, typer.Option("--database", help="An empty PostgreSQL database, in place of SQLite.")] = "",
    ports: Annotated[int, typer.Option("--ports", help="The first of four ports in a row; 0: the usual ones.")] = 0,
) -> None:
    """Start everything with a simulated processor and EHR, play three patients, then keep serving."""
    with friendly():
        asyncio.run(_demo(folder, once=once, resume=resume, quiet=as_json, database=database, ports=ports))


async def _demo(folder: Path, *, once: bool, resume: bool, quiet: bool, database: str, ports: int) -> None:
    async with world(folder, resume=resume, database=database, first_port=ports) as running:
        play = Play(running, say=(lambda _: None) if quiet else out)
        last = await play.all()
        if once or quiet:
            out(dumps(last))
            return
        _where_to_look(running, folder)
        await _told_to_stop()


def _where_to_look(running: World, folder: Path) -> None:
    config = folder / "fhirpay.toml"
    base = running.system.settings.base_url
    out("")
    out("Everything keeps serving; Ctrl-C ends it. Look at")
    out(f"  {base}/fhir/R4/metadata           what our FHIR endpoint can do")
    out(f"  {base}/docs                       the payments API")
    out(f"  {running.processor_url}/control/books          the processor's own books")
    out(f"  {running.ehr_url.removesuffix('/fhir')}/control/resources      what the EHR has stored")
    out(f"  fhirpay explain DEMO0002 --config {config}")
    out(f"  fhirpay ledger verify --config {config}")
    out(f"Send HL7v2 by MLLP to 127.0.0.1:{running.mllp_port}; the token of our endpoints is in {config}.")


async def _told_to_stop() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
