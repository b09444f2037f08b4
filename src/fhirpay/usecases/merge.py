"""Patients, accounts and visits that a message merges, renumbers or moves: carried out in the unit that applies it.

Called by apply_message.py: `before` the Bundle is written, `after` with what was written. A merge that is sent twice,
of a thing into itself, or back again (A into B, then B into A) changes nothing: one resource stands for both already.
An unknown source is noted as a number of the survivor, so that what comes late for it lands right. A source that was
merged into something else is for a person: the message parks, and nothing of it is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..config import Tenant
from ..db.unit import Tx
from ..errors import RuleBroken
from ..fhir import replaced, store
from ..inbox.store import InboxMessage
from ..log import Log
from ..parties import merges, resources
from ..parties.merges import Item, Merge
from ..parties.statements import Number, Renumbers, Replaces, Stated
from ..payments import moving as payments
from . import merge_accounts, move_account

log = Log("merges")

HOLDS = frozenset({"ADT^A43"})  # a number was another person's: collection stops until somebody has looked


@dataclass(slots=True)
class Merging:
    """One message's merges. `touched` are the accounts to be assessed when all is written."""

    message: InboxMessage
    source: str
    tenant: Tenant
    touched: set[str] = field(default_factory=set[str])
    says: list[str] = field(default_factory=list[str])

    def before(self, tx: Tx, stated: Stated) -> None:
        """Numbers that are new are put where the prior ones are, so that the Bundle finds the resource by them."""
        for one in stated.renumbers:
            self._renumber(tx, one)

    def after(self, tx: Tx, stated: Stated, urls: Mapping[str, str]) -> None:
        """`urls` are the entries of the Bundle as they were written: fullUrl → reference."""
        for one in stated.renumbers:
            for prior in self._known(tx, one.type, one.prior, urls[one.url]):
                self.merge(tx, prior, urls[one.url])
        for one in stated.replaces:
            self._replace(tx, one, urls[one.by_url])
        for one in stated.moves:
            refs = urls[one.account_url], urls.get(one.from_url, ""), urls[one.to_url]
            self.touched.add(refs[0])
            self.says += move_account.move(tx, self.record, *refs, source=self.source)

    def record(self, tx: Tx, kind: merges.Kind, about: str, old: str, new: str) -> Merge:
        made = merges.add(
            tx,
            kind,
            about,
            old,
            new,
            event=self.message.label,
            message_id=self.message.message_id,
            interface=self.message.interface,
        )
        log.info("merge.made", merge_id=made.merge_id, kind=kind, message_id=self.message.message_id)
        return made

    # ── which ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _renumber(self, tx: Tx, one: Renumbers) -> None:
        prior = {ref for number in one.prior for ref in _alive(tx, one.type, number)}
        present = {ref for number in one.numbers for ref in _alive(tx, one.type, number)}
        if len(prior) != 1 or present:
            return  # both are known: a merge, after the Bundle; the prior one is not: the Bundle says its number
        (ref,) = prior
        stored = _get(tx, ref)
        changed = resources.with_numbers(stored.resource, one.identifiers, first=True)
        items = resources.change(tx, stored, changed, source=self.source)
        merges.keep(tx, self.record(tx, "number", ref, ref, ref), items)

    def _replace(self, tx: Tx, one: Replaces, new: str) -> None:
        known = self._known(tx, one.type, one.numbers, new)
        for old in known:
            self.merge(tx, old, new)
        if not known:
            stored = _get(tx, new)
            changed = resources.with_numbers(stored.resource, one.prior.get("identifier", ()))
            if items := resources.change(tx, stored, changed, source=self.source):
                merges.keep(tx, self.record(tx, "number", new, new, new), items)

    def _known(self, tx: Tx, kind: str, numbers: Iterable[Number], new: str) -> list[str]:
        """The resources that are to be merged into `new`: not those for which it stands already.

        Raises RuleBroken for one that something else stands for: to merge that too is not what the message says.
        """
        found: dict[str, None] = {}
        for system, value in numbers:
            for one in store.find(tx, kind, system, value):
                end = replaced.survivor(tx, one.reference)
                if end == new:
                    continue
                if end != one.reference or _is_old(one, system, value):
                    says = f"{one.reference} stands for a number that is to be merged into {new}"
                    if end != one.reference:
                        says = f"{one.reference} is merged into {end} already, not into {new}"
                    raise RuleBroken(f"{says}: undo that merge first, or set this message aside")
                found[one.reference] = None
        return sorted(found)

    # ── carried out ───────────────────────────────────────────────────────────────────────────────────────────────────

    def merge(self, tx: Tx, old: str, new: str) -> None:
        """`new` stands for `old`, which nothing stands for yet, with all that follows from it."""
        if replaced.survivor(tx, old) == new:
            return  # one of its other numbers has said so
        kind = old.partition("/")[0]
        made = self.record(tx, "merge", old, old, new)
        match kind:
            case "Account":
                items = self._account(tx, made, old, new)
            case "Patient":
                items = self._patient(tx, made, old, new)
            case _:
                items = resources.repoint(tx, old, new, source=self.source)
                items += resources.merge(tx, old, new, source=self.source)
                self.touched |= _accounts_naming(tx, new)
        replaced.replace(tx, old, new)
        merges.keep(tx, made, [*items, Item("replaced", old, {}, {"by": new})])

    def _account(self, tx: Tx, made: Merge, old: str, new: str) -> list[Item]:
        merge_accounts.lock(tx, [old, new])
        self.touched.add(new)
        items = resources.merge(tx, old, new, source=self.source)
        return items + merge_accounts.combine(tx, made, old, new, self.tenant, source=self.source)

    def _patient(self, tx: Tx, made: Merge, old: str, new: str) -> list[Item]:
        """Accounts keep their numbers under the survivor; what names no account is the patient's own."""
        accounts = _accounts_naming(tx, old)
        merge_accounts.lock(tx, [old, new, *accounts])
        items = resources.repoint(tx, old, new, source=self.source)
        items += resources.merge(tx, old, new, source=self.source)
        items += merge_accounts.combine(tx, made, old, new, self.tenant, source=self.source)
        items += [Item("debtor", one, {"ref": old}, {"ref": new}) for one in payments.rename_debtor(tx, old, new)]
        for account in sorted(accounts):
            items += merge_accounts.ask_anew(tx, made, payments.methods_on(tx, [account]), account)
            if self.message.label in HOLDS:
                items += move_account.hold(tx, made, account)
        self.touched |= accounts | {new} | _accounts_naming(tx, new)
        return items


def _alive(tx: Tx, kind: str, number: Number) -> list[str]:
    return [one.reference for one in replaced.find(tx, kind, *number)]


def _get(tx: Tx, ref: str) -> store.Stored:
    stored = store.locked(tx, *ref.split("/"))
    assert stored is not None
    return stored


def _is_old(stored: store.Stored, system: str, value: str) -> bool:
    held = stored.resource.get("identifier", ())
    return any(one.get("use") == "old" and (one.get("system", ""), one.get("value")) == (system, value) for one in held)


def _accounts_naming(tx: Tx, reference: str) -> set[str]:
    """The accounts of a patient or a visit, by the resources that name it; for one merged away, the one that stands."""
    named = resources.naming(tx, reference)
    found = {one.reference for one in named if one.type == "Account"}
    for one in named:
        found |= {ref for ref in resources.accounts_in(one.resource) if ref}
    return set(replaced.survivors(tx, sorted(found)).values())
