"""A stored message takes effect: mapped to FHIR, written, what it means for accounts worked out, in one unit.

Handlers of the inbox: `hl7` (usecases/receive_hl7.py stored it) and `fhir` (the FHIR server has written the resources
already, in the unit that recorded the message; what is left is what follows from them). A line that can't be mapped
parks its message: the rest of it applies, collection on its accounts is suspended, a replay repeats all of it safely.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from ..billing import cutover, worklist
from ..billing.look_alikes import other_service
from ..billing.reach import accounts_of
from ..config import Interface, Tenant
from ..db.types import fitted, legible
from ..db.unit import Tx, Units
from ..domain.fhir_urls import CLOSED
from ..errors import FhirpayError, MessageInvalid, RuleBroken
from ..fhir import bundles
from ..fhir.replaced import find
from ..fhir.store import Change, Stored, version
from ..fhir.store import get as get_resource
from ..flow.lane import Work, complete, let_in, park, park_until
from ..hl7.reader import Message
from ..inbox import missing, search
from ..inbox.store import InboxMessage, get, note_outcome, resources_since
from ..log import Log
from ..mapping.engine import map_groups
from ..mapping.loader import Maps
from ..mapping.mapped import Mapped, Parked
from ..parties import statements
from ..subscriptions.events import tell
from . import charged_elsewhere, echoes, hear_postings, link_patients, move_account, visits, withdrawn_coverage
from .collect import accounts_touched, reassess_accounts
from .corrections import settled
from .known_numbers import found_again
from .merge import Merging
from .send_ack import acknowledge

log = Log("messages")

PARKED = "parked_message"  # on the worklist
REPLACED = "charge_replaced"  # on the worklist
LATE = "late_charge"  # on the worklist
SHORT = 100  # segments, which take milliseconds to map
BEHIND = "waits for wrk"  # flow's words; a message and its work have the same number


@dataclass(frozen=True, slots=True)
class Effect:
    """What has become of a message: what waits of it, what was written, which accounts it bears on, what to say."""

    parked: tuple[Parked, ...]
    changes: list[tuple[Stored, Change]]
    touched: set[str]
    detail: str


@dataclass(frozen=True, slots=True)
class ApplyMessage:
    """What the messages of one tenant go through."""

    units: Units
    tenant: Tenant
    maps: Callable[[Interface], Maps]
    hash_key: bytes

    async def hl7(self, work: Work) -> None:
        message = await self.units.read(get, work.ref)
        if message.body is None:
            raise RuleBroken(f"the body of {message.message_id} has expired; ask the sender to send it again")
        interface = self.tenant.interface(message.interface)
        parsed = Message.parse(message.body, charset_fallback=interface.charset_fallback, charset=interface.charset)
        mapping = self._mapping(parsed, interface)
        # A long one apart from the loop, which meanwhile serves every connection.
        mapped = mapping() if len(parsed.lines) <= SHORT else await asyncio.to_thread(mapping)
        await self.units.write(self._apply, work, message, parsed, mapped)

    def mapped(self, parsed: Message, interface: Interface) -> list[Mapped]:
        """The message as FHIR, by the maps that are in force; of several merges one after the other."""
        return self._mapping(parsed, interface)()

    def _mapping(self, parsed: Message, interface: Interface) -> Callable[[], list[Mapped]]:
        facility, maps = self.tenant.facility(interface.facility), self.maps(interface)
        return partial(map_groups, parsed, interface, facility, maps=maps)

    def waits(self, tx: Tx, mapped: list[Mapped]) -> Mapped | None:
        """The group of it that is about an account which nobody has opened yet."""
        return next((one for one in mapped if one.account == "known" and not _accounts(tx, one)), None)

    def take_effect(self, tx: Tx, message: InboxMessage, mapped: list[Mapped]) -> Effect:
        """Write what it says."""
        # Not for the first time: what later messages have said since stays said, such as insurance found.
        newer = resources_since(tx, message.message_id) if message.detail else set[str]()
        warnings = [one for part in mapped for one in part.warnings]
        if mapped[0].account == "new" and _accounts(tx, mapped[0]) and not message.detail:
            warnings.insert(0, f"{message.label} for an account that is known: taken as changed")
        correction = self.tenant.interface(message.interface).correction
        mapped = [found_again(tx, one) for one in mapped]
        mapped = [settled(tx, one, correction, message_id=message.message_id, newer=newer) for one in mapped]
        mapped = [echoes.marked(tx, one, self.tenant.interface(message.interface)) for one in mapped]
        merging = Merging(message, source_of(message), self.tenant)
        changes = [change for one in mapped for change in self._write(tx, message, one, newer, merging)]
        tell(tx, [stored for stored, change in changes if change != "unchanged"])
        cutover.note(tx, message.interface, [stored for stored, _ in changes], self.tenant)
        echoes.heard(tx, changes)
        hear_postings.note(tx, message.interface, changes)
        visits.note(tx, self.tenant, message.interface, changes)
        parked = tuple(one for part in mapped for one in part.parked)
        detail = legible("; ".join([f"{one.location}: {one.reason}" for one in parked] or [*warnings, *merging.says]))
        # Also the accounts that it only names: a message that was parked held up collection there until now.
        touched = {*accounts_touched(tx, changes), *accounts_named(tx, message), *merging.touched}
        return Effect(parked, changes, touched, detail)

    def _write(
        self, tx: Tx, message: InboxMessage, mapped: Mapped, newer: Collection[str], merging: Merging
    ) -> list[tuple[Stored, Change]]:
        """What it says, and what it says of merges: before, so that it is written where it belongs, and after."""
        stated = statements.read(mapped.bundle)
        stated, says = link_patients.apart(tx, stated)
        merging.says += says
        merging.before(tx, stated)
        changes = bundles.apply(
            tx,
            stated.bundle,
            source=merging.source,
            merge=True,
            deletes=[(one.full_url, one.element) for one in mapped.deletes],
            assumed=[(one.full_url, one.element) for one in mapped.assumed],
            adds=[(one.full_url, one.element) for one in mapped.adds],
            newer=newer,
        )
        for stored, change in changes:
            if stored.type == "ChargeItem":
                if change == "updated":
                    _note_replaced(tx, message, stored)
                elif change == "created":
                    _note_late(tx, message, stored)
                    merging.touched |= charged_elsewhere.note(tx, message, stored)
            elif stored.type == "Account" and change == "created":
                for one in stored.resource.get("identifier", ()):
                    let_in(tx, _until_known(one))
        written = [stored for stored, _ in changes]
        changes += withdrawn_coverage.settle(tx, changes, source=merging.source)
        if stated.any:
            entries = [entry["fullUrl"] for entry in stated.bundle.get("entry", ())]
            urls = dict(zip(entries, (one.reference for one in written), strict=True))
            merging.after(tx, stated, urls)
            for link in stated.links:
                merging.says += link_patients.carry_out(tx, link, urls, source=merging.source)
        move_account.late(tx, written, source=merging.source)
        return changes

    def _apply(self, tx: Tx, work: Work, message: InboxMessage, parsed: Message, mapped: list[Mapped]) -> None:
        search.index(tx, message, parsed, self.hash_key)
        if (early := self.waits(tx, mapped)) is not None:
            self._wait_for_account(tx, work, message, early)
            return
        effect = self.take_effect(tx, message, mapped)
        if effect.parked:
            missing.note(tx, message.message_id, [one.missing for one in effect.parked if one.missing is not None])
            park(tx, work, reason=effect.detail)
            note_parked(tx, message, effect.detail)
        else:
            complete(tx, work)
        _finish(tx, message, effect.changes, "parked" if effect.parked else "applied", effect.detail)
        reassess_accounts(tx, effect.touched, self.tenant)

    def _wait_for_account(self, tx: Tx, work: Work, message: InboxMessage, mapped: Mapped) -> None:
        """Nothing is made of an account that nobody opened. The message that makes it known lets this one in."""
        named = mapped.resources("Account")[0]["identifier"][0]
        reason = f"not-found: account {named['value']} is not known: {message.label} opens none"
        park_until(tx, work, _until_known(named), reason=reason)
        note_outcome(tx, message.message_id, "parked", legible(reason), message.resources)
        note_parked(tx, message, legible(reason))
        tx.wake(f"message:{message.message_id}")

    async def fhir(self, work: Work) -> None:
        await self.units.write(self._follow, work)

    def _follow(self, tx: Tx, work: Work) -> None:
        message = get(tx, work.ref)
        accounts = json.loads(message.meta.get("accounts", "[]"))
        if not isinstance(accounts, list):
            raise MessageInvalid("its accounts are no list", location="meta")
        complete(tx, work)
        note_outcome(tx, message.message_id, "applied", "", message.resources)
        tx.wake(f"message:{message.message_id}")
        reassess_accounts(tx, accounts, self.tenant)

    def on_parked(self, tx: Tx, work: Work, reason: str) -> None:
        """The message as a whole waits for a person. Given to the worker, which calls it in the unit that parks."""
        message = get(tx, work.ref)
        self._index(tx, message)
        if reason.startswith(BEHIND):  # its turn comes by itself: the one that it waits for is on the worklist
            note_outcome(tx, message.message_id, "parked", reason.replace(BEHIND, "waits for msg"), message.resources)
        else:
            note_outcome(tx, message.message_id, "parked", reason, message.resources)
            note_parked(tx, message, reason)
        acknowledge(tx, message, "AE")
        tx.wake(f"message:{message.message_id}")
        reassess_accounts(tx, accounts_named(tx, message), self.tenant)

    def _index(self, tx: Tx, message: InboxMessage) -> None:
        parsed = None
        with suppress(FhirpayError):  # what can't be read, or whose interface is gone, is found by its account
            parsed = search.readable(message, self.tenant.interface(message.interface))
        search.index(tx, message, parsed, self.hash_key)


def source_of(message: InboxMessage) -> str:
    """Where a resource came from, as kept in `meta.source`: the feed and the message."""
    return f"urn:fhirpay:{message.interface}#{message.message_id}"


def note_parked(tx: Tx, message: InboxMessage, reason: str) -> None:
    """On the worklist, where a person will look."""
    says = f"{message.label or message.kind} {message.control_id} from {message.interface} waits: {reason}"
    worklist.open_item(tx, kind=PARKED, subject=message.message_id, says=says)
    log.warning("message.parked", message_id=message.message_id, interface=message.interface)


def _accounts(tx: Tx, mapped: Mapped) -> list[Stored]:
    named = mapped.resources("Account")[0]["identifier"][0]
    return find(tx, "Account", named["system"], named["value"])


def _until_known(identifier: dict[str, str]) -> str:
    return fitted(f"known:{identifier.get('system', '')}|{identifier.get('value', '')}")


def _note_late(tx: Tx, message: InboxMessage, stored: Stored) -> None:
    """A charge for an account that its sender has closed to charges (BAR^P06)."""
    for account_ref in sorted(accounts_of(tx, stored.resource)):
        account = get_resource(tx, *account_ref.split("/"))
        closed = [one for one in account.resource.get("extension", ()) if one["url"] == CLOSED] if account else []
        if closed:
            says = (
                f"{stored.reference} came after its account was closed to charges on {closed[0]['valueDateTime'][:10]}"
            )
            says += f", by {message.control_id} from {message.interface}"
            worklist.open_item(tx, kind=LATE, subject=stored.reference, says=says, account_ref=account_ref)


def _note_replaced(tx: Tx, message: InboxMessage, stored: Stored) -> None:
    """A charge has become another one under its number. A correction, or a sender that numbers each message anew?"""
    before = version(tx, stored.type, stored.id, stored.version - 1)
    if before is None or not (changed := other_service(before.resource, stored.resource)):
        return
    says = f"{stored.reference}: {changed}, by {message.control_id} from {message.interface}, under the same FT1-2"
    says += ": corrected, or another charge? The one before is not asked for any more"
    for account_ref in sorted(accounts_of(tx, stored.resource)):
        subject = f"{stored.reference}/_history/{stored.version}"
        worklist.open_item(tx, kind=REPLACED, subject=subject, says=says, account_ref=account_ref)


def _finish(tx: Tx, message: InboxMessage, changes: list[tuple[Stored, Change]], state: str, detail: str) -> None:
    refs = list(dict.fromkeys(stored.reference for stored, _ in changes))
    note_outcome(tx, message.message_id, "parked" if state == "parked" else "applied", detail, refs)
    if state != "parked":
        worklist.settled(tx, PARKED, message.message_id)
    acknowledge(tx, message, "AE" if state == "parked" else "AA")
    tx.wake(f"message:{message.message_id}")


def accounts_named(tx: Tx, message: InboxMessage) -> set[str]:
    """The accounts that the message names and that are known."""
    found: set[str] = set()
    for key in message.account_keys:
        system, _, value = key.rpartition("|")
        found |= {f"Account/{stored.id}" for stored in find(tx, "Account", system, value)}
    return found
