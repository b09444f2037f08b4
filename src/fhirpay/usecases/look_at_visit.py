"""One encounter (or patient) is looked at, at an EHR that finds its charges only so (`poll_by`).

    heard of ─▶ its id there, by its number ─▶ ChargeItem?context=… page by page ─▶ pick_up.py ─▶ when to look again

Called by poll_ehr.py, which holds the connection's lease. A page is taken before the next one is asked for, and when to
look next is kept after the last one: a crash looks again, and versions that were read have no second effect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ..billing import worklist
from ..db.types import legible
from ..db.unit import Tx
from ..errors import EhrMisconfigured, EhrUnavailable, FhirpayError, LeaseLost, StorageUnavailable
from ..fhir import store as fhir
from ..fhir.client import EhrRefused
from ..fhir.pages import last_updated
from ..flow.backoff import Backoff
from ..log import Log
from ..polling import store, twins, visits
from ..polling.visits import Visit
from .pick_up import PickUp
from .take_polled import system_here
from .visits import ended_at

log = Log("polling")

UNREAD, UNFOUND = "ehr_unread", "ehr_visit_unfound"  # on the worklist
PAGES_MAX = 200  # of one encounter's charges
_PATIENCE = 3  # failures in a row before anybody is told
_LEFT_ALONE_MAX_S = 86_400
_BACKOFF = Backoff(base=timedelta(seconds=10), cap=timedelta(minutes=10))
_PARAMS = {("ChargeItem", "encounter"): "context"}  # where it isn't called as what is named


@dataclass(frozen=True, slots=True)
class VisitLook:
    """At one EHR."""

    pick: PickUp

    async def look(self, visit: Visit, fence: int) -> None:
        """Take what it has of this one, and keep when to look again. Raises LeaseLost."""
        try:
            remote = visit.remote or await self._found(visit, fence)
            asked_at = await self.pick.hold(fence)
            named = await self._contexts(visit.kind, remote, fence) if remote else None
            if named is None:
                await self.pick.units.write(self._unfound, fence, visit)
                return
            resource, contexts = named
            news, ends = 0, visit.ended_at
            if visit.kind == "Encounter":
                news += await self.pick.take([resource], fence, asked_at=asked_at)
                ends = ended_at(resource, visit.ended_at or visit.due_at) or visit.ended_at
            for kind, by in self.pick.connection.poll_by.items():
                if by in contexts:
                    news += await self._all_of(kind, by, contexts[by], fence)
            await self.pick.units.write(self._looked, fence, visit, remote, news, ends)
        except (LeaseLost, StorageUnavailable):
            raise
        except FhirpayError as error:
            await self.pick.units.write(self._failed, fence, visit, error)

    async def _found(self, visit: Visit, fence: int) -> str:
        """The EHR's id of it, by the numbers that we know it by; empty: it has none such, or several."""
        connection, ehr = self.pick.connection, self.pick.ehr
        known = await self.pick.units.read(_numbers, connection.name, visit)
        if isinstance(known, str):
            return known
        capability = await ehr.capability(visit.kind)
        if not capability.search:
            why = "our scopes don't let us search" if "s" in capability.withheld else "it offers no search"
            raise EhrMisconfigured(f"{why} for {visit.kind}, by whose number it would be found")
        for system, number in known:
            theirs = sorted(there for there, here in connection.systems.items() if here == system)
            asked = ",".join(f"{escaped(there)}|{escaped(number)}" for there in theirs) or escaped(number)
            await self.pick.hold(fence)
            matches = await ehr.search(visit.kind, {"identifier": asked, "_count": "10"}, pages_max=2)
            ids = {
                one.id
                for one in matches.found
                for identifier in _objects(one.resource.get("identifier"))
                if identifier.get("value") == number and (not theirs or system_here(connection, identifier) == system)
            }
            if len(ids) == 1 and matches.complete:
                (remote,) = ids
                await self.pick.units.write(self._is, fence, visit, remote)
                return remote
        return ""

    def _is(self, tx: Tx, fence: int, visit: Visit, remote: str) -> None:
        """It is that one: what is taken of it is hung on ours, unless it was taken before under its own id."""
        self.pick.held(tx, fence)
        name, kind = self.pick.connection.name, visit.kind
        if fhir.get(tx, kind, remote) is None:
            twins.note(tx, name, kind, remote, visit.reference)
        visits.drop(tx, name, {f"{kind}/{remote}"} - {visit.reference}, heard_until=tx.now)

    async def _contexts(self, kind: str, remote: str, fence: int) -> tuple[dict[str, Any], dict[str, str]] | None:
        """What it is searched by (`encounter`, `patient`), and the encounter as it is there; None: it isn't there."""
        if kind == "Patient":
            return {}, {"patient": remote}
        await self.pick.hold(fence)
        try:
            found = await self.pick.ehr.read(kind, remote)
        except EhrRefused as error:
            if error.status != 410:
                raise
            found = None
        if found is None:
            return None
        contexts = {"encounter": remote}
        subject = found.resource.get("subject")
        literal = subject.get("reference") if isinstance(subject, dict) else None
        if isinstance(literal, str) and "Patient/" in literal:
            contexts["patient"] = literal.rpartition("Patient/")[2].partition("/")[0]
        return dict(found.resource), contexts

    async def _all_of(self, kind: str, by: str, remote: str, fence: int) -> int:
        """How many of a type are new."""
        param = search_param(kind, by)
        value = f"Encounter/{remote}" if param == "context" else remote
        capability = await self.pick.ehr.capability(kind)
        if not capability.search:
            why = "our scopes don't let us search" if "s" in capability.withheld else "it offers no search"
            raise EhrMisconfigured(f"{why} for {kind}: take it out of `poll`, or have it offered")
        query, link, news = {param: value, "_count": str(store.PAGE)}, "", 0
        seen: set[str] = set()
        for _ in range(PAGES_MAX):
            asked_at = await self.pick.hold(fence)
            page = await self.pick.ehr.page(kind, query, link=link)
            news += await self.pick.take([one for one in page.resources if self._wanted(one)], fence, asked_at=asked_at)
            if page.astray:
                raise EhrMisconfigured("its next page leads to an address beside its own: it isn't followed")
            if page.following is None:
                return news
            if page.following in seen:
                raise EhrMisconfigured("its pages go round in a circle")
            seen.add(link := page.following)
        raise EhrMisconfigured(f"its pages of {kind} don't end: {PAGES_MAX} were read")

    def _wanted(self, resource: dict[str, Any]) -> bool:
        """Not what didn't change since `poll_since`: nobody asked for it to be billed."""
        since, moment = self.pick.connection.poll_since, last_updated(resource)
        return since is None or moment is None or moment >= since

    # ── when again ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _looked(self, tx: Tx, fence: int, visit: Visit, remote: str, news: int, ends: datetime | None) -> None:
        self.pick.held(tx, fence)
        name = self.pick.connection.name
        heard_at = tx.now if news else visit.heard_at
        visit = replace(visit, remote=remote, looks=visit.looks + 1, failures=0, unfound=False, ended_at=ends)
        self._again(tx, visit, heard_at)
        visits.resume(tx, name)
        worklist.settled(tx, UNREAD, f"{name}/{visit.reference}")
        worklist.settled(tx, UNREAD, f"{name}/{visit.kind}")
        self._tell_unfound(tx)

    def _unfound(self, tx: Tx, fence: int, visit: Visit) -> None:
        self.pick.held(tx, fence)
        visit = replace(visit, remote="", looks=visit.looks + 1, failures=0, unfound=True)
        if not self._again(tx, visit, visit.heard_at):
            says = f"{visit.reference} was never found at '{self.pick.connection.name}': its charges aren't picked up"
            worklist.open_item(tx, kind=UNREAD, subject=f"{self.pick.connection.name}/{visit.reference}", says=says)
        self._tell_unfound(tx)

    def _again(self, tx: Tx, visit: Visit, heard_at: datetime) -> bool:
        """Keep when to look next; False when that was the last look."""
        connection = self.pick.connection
        due_at = visits.next_look(
            tx.now,
            heard_at,
            visit.ended_at,
            every=timedelta(seconds=connection.poll_visit_every_s),
            late=timedelta(days=connection.poll_late_days),
        )
        if due_at is None:
            visits.drop(tx, connection.name, [visit.reference], heard_until=visit.heard_at)
            return False
        visits.keep(tx, connection.name, replace(visit, due_at=due_at, heard_at=heard_at), heard_until=visit.heard_at)
        return True

    def _tell_unfound(self, tx: Tx) -> None:
        name = self.pick.connection.name
        first = visits.first_unfound(tx, name, after_looks=_PATIENCE)
        if first is None:
            worklist.settled(tx, UNFOUND, name)
            return
        says = f"'{name}' has no encounter or patient, or several, of the number of {first}, and maybe of others: "
        says += "`systems` says what its identifiers are called here"
        worklist.open_item(tx, kind=UNFOUND, subject=name, says=says, standing=True)

    def _failed(self, tx: Tx, fence: int, visit: Visit, error: FhirpayError) -> None:
        """Again, later: all of them, where it isn't about this one alone, as it is when others succeed meanwhile."""
        self.pick.held(tx, fence)
        name, every = self.pick.connection.name, timedelta(seconds=self.pick.connection.poll_visit_every_s)
        failures, others = visit.failures + 1, visits.failures(tx, name)
        refused = isinstance(error, EhrRefused) and error.status not in (401, 403)
        alone = refused or (failures > 1 and not others)
        wait = _BACKOFF.delay(failures if alone else others + 1, f"{name}:{visit.kind}")
        if isinstance(error, EhrUnavailable):
            wait = max(wait, timedelta(seconds=min(error.retry_after_s, _LEFT_ALONE_MAX_S)))
        due_at = visit.due_at
        if alone:
            due_at = tx.now + max(wait, every)
        else:
            self.pick.ehr.forget()  # what it can do may have changed
            visits.put_off(tx, name, tx.now + wait)
        visits.keep(tx, name, replace(visit, due_at=due_at, failures=failures), heard_until=visit.heard_at)
        log.warning("poll.visit_failed", connection=name, resource_type=visit.kind, code=error.code)
        if isinstance(error, EhrMisconfigured) or (failures if alone else others + 1) >= _PATIENCE:
            about = visit.reference if alone else visit.kind
            says = legible(f"what '{name}' has of {about} isn't picked up: {error.message}")
            worklist.open_item(tx, kind=UNREAD, subject=f"{name}/{about}", says=says)


def search_param(kind: str, by: str) -> str:
    """By which a type is searched for an `encounter` or a `patient`."""
    return _PARAMS.get((kind, by), by)


def _numbers(tx: Tx, connection: str, visit: Visit) -> str | list[tuple[str, str]]:
    """The EHR's id, where it is known; else the numbers that we have of it, with their systems."""
    if known := twins.theirs(tx, connection, visit.reference):
        return known
    found = fhir.get(tx, *visit.reference.split("/"))
    identifiers = _objects(found.resource.get("identifier")) if found else []
    return [(str(one.get("system", "")), str(one["value"])) for one in identifiers if one.get("value")]


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def escaped(text: str) -> str:
    """As a value of a search parameter (FHIR R4, search.html#escaping)."""
    return "".join(f"\\{one}" if one in "\\|,$" else one for one in text)
