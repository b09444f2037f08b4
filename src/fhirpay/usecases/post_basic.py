"""Which Encounter or Account a financial transaction is to, in the EHR's own ids. Called by post_back.py.

Oracle Health takes no identifier there. What came over FHIR has the EHR's id; a visit that came over HL7v2 is looked
up by its number (Encounter search by `identifier`: docs.oracle.com, op-encounter-get). It only reads.
"""

from __future__ import annotations

from ..config import Connection
from ..errors import RuleBroken
from ..fhir.client import FhirClient
from ..writeback.posted import PostedPayment, Ref, lines_for
from ..writeback.store import Posting
from .look_at_visit import escaped


async def target_of(client: FhirClient, posted: PostedPayment, posting: Posting, to: Connection) -> Ref | None:
    """None where there is no line. Raises RuleBroken for what the EHR can't be told by id."""
    targets: list[Ref] = []
    for line in lines_for(posted, posting.numbers):
        found = (
            await _known_there(client, line.encounter, line.target or posting.subject, to)
            if line.encounter
            else line.account
        )
        if not found or "reference" not in found:
            raise RuleBroken(
                f"'{client.name}' takes payments to its own Encounters and Accounts, and {line.of_account or 'this'} "
                "is neither to us: a visit that came over HL7v2 or FHIR is needed"
            )
        if found not in targets:
            targets.append(found)
    if len(targets) > 1:
        raise RuleBroken(f"the lines of {posting.posting_id} are of several visits or accounts by now: post it by hand")
    return targets[0] if targets else None


async def _known_there(client: FhirClient, visit: Ref, of: str, to: Connection) -> Ref:
    if "reference" in visit:
        return visit
    value = visit["identifier"]["value"]
    ours = visit["identifier"].get("system", "")
    system = next((there for there, here in sorted(to.systems.items()) if here == ours), ours)
    asked = f"{escaped(system)}|{escaped(value)}" if system else escaped(value)
    matches = await client.search("Encounter", {"identifier": asked})
    ids = [
        one.id
        for one in matches.found
        if any(
            known.get("value") == value and (not system or known.get("system") == system)
            for known in one.resource.get("identifier") or ()
        )
    ]
    if len(ids) != 1 or not matches.complete:
        says = f"{len(ids)} Encounters have" if ids else "no Encounter has"
        raise RuleBroken(
            f"at '{client.name}' {says} the visit number of {of}: do its `systems` say what that is called there?"
        )
    return {"reference": f"Encounter/{ids[0]}"}
