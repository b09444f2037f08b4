"""`fhirpay close …`: the close of a business day, of a till or of its facility: shown, signed, printed, verified."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..close import check, csv_file, sheet, store
from ..close.store import Close
from ..db.unit import Tx
from ..errors import ConfigInvalid, InvariantBroken, RuleBroken, ValueInvalid
from ..fhir.json import loads
from ..ledger.chain import GENESIS
from ..smart.keys import KeyRing
from ..usecases import day_close
from ..usecases.day_close import Looked, Wish
from ..web.admin_closes import shown
from .admin import ByOption, decided
from .context import ConfigOption, JsonOption, TenantOption, friendly, opened, out, reading, run, settings, tenant_name

close = typer.Typer(
    help="The close of a day, by till and facility: show, sign, reopen, list, print, verify.", no_args_is_help=True
)
FacilityOption = Annotated[str, typer.Option("--facility", help="Which facility; may be left out where there is one.")]
TillOption = Annotated[str, typer.Option("--till", help="This till alone; else the facility as a whole.")]
DayOption = Annotated[
    str, typer.Option("--day", help="The business day; else that of what is not closed yet, else today there.")
]
BatchOption = Annotated[
    str, typer.Option("--batch", help="What the practice's own card terminal says that it took, as in 120.00.")
]
ReferenceOption = Annotated[str, typer.Option("--reference", help="The terminal's own number of that batch.")]
CloseArgument = Annotated[str, typer.Argument(help="The close (cls…), as `fhirpay close list` shows it.")]


@close.command("show")
def show(
    facility: FacilityOption = "",
    till: TillOption = "",
    day: DayOption = "",
    batch: BatchOption = "",
    reference: ReferenceOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What would be closed now, with open points and what stands in the way; of a day that is closed, its close."""

    async def main() -> Looked:
        loaded = settings(config)
        owner = loaded.tenant(tenant_name(loaded, tenant))
        wish = Wish.of(owner, facility=facility, till=till, day=day, batch=batch, reference=reference)
        async with opened(loaded, read_only=True) as database:
            return await database.units(owner.name).read(day_close.look, owner, wish, KeyRing(owner.keys))

    with friendly():
        looked = run(main)
        if as_json:
            out(json.dumps({**looked.document, "blocked": list(looked.blocked)}))
            return
        _tell(looked.document, looked.closed.hash if looked.closed else "")
        for one in looked.blocked:
            out(f"in the way: {one}")
        if looked.closed is None and not looked.blocked:
            needs = f", with a reason for {len(looked.points)} open points" if looked.points else ""
            out(f"it can be signed{needs}")


def _tell(document: dict[str, Any], digest: str) -> None:
    for table in sheet.tables(document, digest):
        out(f"== {table.title}")
        for row in table.rows:
            out("  " + "  ".join(f"{name}: {text}" for name, text in zip(table.columns, row, strict=True) if text))


@close.command("sign")
def sign(
    facility: FacilityOption = "",
    till: TillOption = "",
    day: DayOption = "",
    by: ByOption = "",
    reason: Annotated[str, typer.Option("--reason", help="Needed where there are open points; kept.")] = "",
    batch: BatchOption = "",
    reference: ReferenceOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign the day off. Tills first, each by who counted it; then the facility."""
    asked = {"action": "sign", "facility": facility, "till": till, "day": day, "batch": batch, "reference": reference}
    done = decided(config, tenant, lambda server: server.close(**asked, by=by, reason=reason))
    if as_json:
        out(json.dumps(done))
        return
    whose = f"till '{done['till']}' of '{done['facility']}'" if done["till"] else f"'{done['facility']}'"
    when = f"{done['signed']['at']} by {done['signed']['by']}"
    out(f"{whose} is closed{' already' if done['again'] else ''} for {done['day']}: {done['close']}, {when}")
    out(f"sha256 {done['hash']}")


@close.command("reopen")
def reopen(
    close_id: CloseArgument,
    by: ByOption = "",
    why: Annotated[str, typer.Option("--why", help="Why; kept with it.")] = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Open a close again: it stays as it is, and its day can be closed once more."""
    done = decided(config, tenant, lambda server: server.close(action="reopen", close=close_id, by=by, why=why))
    out(f"{done['close']} of {done['day']} is opened again: close that day once more")


@close.command("list")
def list_closes(
    facility: Annotated[str, typer.Option("--facility", help="Only this facility.")] = "",
    till: Annotated[str, typer.Option("--till", help="Only this till; `-` for none: the facility's own.")] = "",
    last: Annotated[int, typer.Option("--last", min=1, max=1000, help="So many, the newest.")] = 50,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """The closes there are, the newest first, opened again or not."""
    one_till = None if not till else "" if till == "-" else till

    async def main() -> list[Close]:
        async with reading(config, tenant) as units:
            return await units.read(lambda tx: store.some(tx, facility=facility, till=one_till, limit=last))

    for one in run(main):
        out(json.dumps(shown(one)) if as_json else _line(one))


def _line(one: Close) -> str:
    state = "" if one.stands else f"  opened again by {one.reopened_by}: {one.reopened_why}"
    again = f"  replaces {one.replaces}" if one.replaces else ""
    return f"{one.close_id}  {one.business_date}  {one.where}  by {one.signed_by}  {one.hash}{again}{state}"


@close.command("print")
def print_close(
    close_id: CloseArgument,
    pdf: Annotated[Path | None, typer.Option("--pdf", help="Write it here as PDF.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write it here as CSV.")] = None,
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Write a close that was signed as PDF, as CSV, or as the text that its hash is of."""

    def found(tx: Tx) -> tuple[str, str]:
        return store.body(tx, close_id), store.get(tx, close_id).hash

    async def main() -> tuple[str, str]:
        async with reading(config, tenant) as units:
            return await units.read(found)

    with friendly():
        text, digest = run(main)
        if csv is not None:
            _write(csv, csv_file.render(loads(text), digest))
        if pdf is not None:
            from ..close import pdf_file  # it takes half a second to load, and other commands don't need it

            _write(pdf, pdf_file.render(loads(text), digest))
        if pdf is None and csv is None:
            out(text)


@close.command("verify")
def verify(
    kept: Annotated[
        list[str] | None,
        typer.Option("--kept", help="A close that was printed or listed, as CLOSE:HASH: shows that it is gone."),
    ] = None,
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Check each close's text, hash and place among the others. Status 1 when anything is wrong."""

    async def main() -> list[tuple[str, str]]:
        hashes = dict(_printed(text) for text in kept or ())
        async with reading(config, tenant) as units:
            return await units.read(lambda tx: list(check.problems(tx, hashes)))

    with friendly():
        found = run(main)
        for close_id, says in found:
            out(f"{close_id}: {says}")
        if found:
            raise InvariantBroken(f"the closes are not whole: {len(found)} problems")
        out("the closes are whole")


def _printed(text: str) -> tuple[str, str]:
    close_id, _, hashed = text.strip().partition(":")
    if len(hashed) != len(GENESIS):
        raise ValueInvalid(f"'{text[:100]}' is no close as it was printed: write cls01…:9f86d0…, its name and its hash")
    return close_id, hashed


def _write(file: Path, data: bytes) -> None:
    if file.exists():
        raise RuleBroken(f"{file} is there already: name another one")
    try:
        file.write_bytes(data)
    except OSError as error:
        raise ConfigInvalid(f"{file} can't be written: {error}") from None
