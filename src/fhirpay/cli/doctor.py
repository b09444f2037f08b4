"""`fhirpay doctor`: does everything that is kept agree with itself?"""

from __future__ import annotations

import json
from dataclasses import asdict

from ..billing.worklist import Item, list_open
from ..config import Tenant
from ..db.unit import Tx
from ..errors import InvariantBroken
from ..usecases.agreement import agreement
from ..usecases.agreement_text import score
from ..usecases.cutover import Standing, standings
from ..usecases.doctor import Finding, examine
from ..usecases.receivers_gone import GONE
from ..usecases.silence import SILENT
from ..usecases.take_files import STUCK, UNREACHABLE
from .context import ConfigOption, JsonOption, TenantOption, friendly, out, reading, run, settings, tenant_name

_NAMED = (SILENT, UNREACHABLE, STUCK, GONE)  # of the worklist


def doctor(tenant: TenantOption = "", config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check billing, payments, ledger and queues against each other. Status 1 when anything is wrong.

    Feeds that are silent, or not live yet, are named too, folders whose files can't be fetched or moved, and receivers
    that postings wait for and that are not configured any more; that is no disagreement, and gives no status. So are
    receivers that are posted to by themselves without an agreement that would speak for it.
    """

    async def main() -> tuple[list[Finding], list[Item], list[Standing], list[Finding]]:
        loaded = settings(config)
        owner = loaded.tenant(tenant_name(loaded, tenant))
        async with reading(config, tenant) as units:
            silent = [one for kind in _NAMED for one in await units.read(list_open, kind=kind)]
            doubtful = await units.read(_doubtful, owner)
            return await units.read(examine), silent, await units.read(standings, owner), doubtful

    with friendly():
        findings, silent, feeds, doubtful = run(main)
        told = [Finding(one.kind, one.subject, one.says) for one in silent]
        told += [Finding("cutover", one.stage.feed, says) for one in feeds for says in one.matters]
        told += doubtful
        if as_json:
            out(json.dumps([asdict(one) for one in [*findings, *told]]))
        else:
            for one in told:
                out(str(one))
            for finding in findings:
                out(str(finding))
            out(f"{len(findings)} things don't agree" if findings else "everything agrees")
        if findings:
            raise InvariantBroken("what is kept doesn't agree with itself; nothing was changed")


def _doubtful(tx: Tx, owner: Tenant) -> list[Finding]:
    """Receivers in `auto` of which nobody has shown that we post what their staff would."""
    silent = {one.name for one in owner.connections if not one.posted}
    trusted = [one.name for one in owner.receivers if one.stage == "auto" and one.name not in silent]
    found = [(name, agreement(tx, name, owner)) for name in trusted]
    says = "it is at stage 'auto': {}; `fhirpay writeback agreement {}` lists what differs"
    return [Finding("agreement", name, says.format(score(one), name)) for name, one in found if not one.good()]
