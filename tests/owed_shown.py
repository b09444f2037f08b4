"""What an account owes and what waits for a person, as text that an accountant reads: for golden files.

`Shown` names resources as their sender does and counts our own ids, so that a file says nothing about storage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC
from zoneinfo import ZoneInfo

from sqlalchemy import select

from fhirpay.billing import money, rows, store, worklist
from fhirpay.billing.holds import holds_of
from fhirpay.billing.intake import facts_of, gather
from fhirpay.billing.rows import ObligationView
from fhirpay.config import Facility
from fhirpay.db.unit import Tx
from fhirpay.domain.money import Money
from fhirpay.fhir import store as fhir
from fhirpay.fhir.params import TYPES

_OUR_ID = re.compile(r"\b(pay|obl|msg|wrk|ref|ope|hld)(\d{26})\b")
_RESOURCE = re.compile(r"\b([A-Z][A-Za-z]+)/([a-z]+\d{26})\b")


class Shown:
    """The account's books in words. One for each file: its numbers run on."""

    def __init__(self, facility: Facility) -> None:
        self._facility = facility
        self._zone = ZoneInfo(facility.zone)
        self._numbers: dict[str, str] = {}

    def asks(self, tx: Tx) -> str:
        """What may be asked for now, account by account."""
        found = [
            f"{_name(tx, *ref.split('/'))} {amount}" for ref in account_refs(tx) if (amount := self._asks(tx, ref))
        ]
        return self.named(tx, "; ".join(found)) or "nothing"

    def books(self, tx: Tx) -> str:
        """Every account: its obligations with their reasons, holds, credit, what may be asked; then the worklist."""
        lines = [line for ref in account_refs(tx) for line in self._account(tx, ref)]
        items = sorted((item.kind, item.says) for item in worklist.list_open(tx) if item.kind != "payment_due")
        lines += ["worklist", *(f"  {kind}: {says}" for kind, says in items)] if items else []
        return self.named(tx, "\n".join(lines))

    def named(self, tx: Tx, text: str) -> str:
        text = _RESOURCE.sub(lambda found: _name(tx, found[1], found[2]), text)
        return _OUR_ID.sub(self._number, text)

    def _number(self, found: re.Match[str]) -> str:
        if found[0] not in self._numbers:
            same = [one for one in self._numbers if one.startswith(found[1])]
            self._numbers[found[0]] = f"{found[1]}-{len(same) + 1}"
        return self._numbers[found[0]]

    def _account(self, tx: Tx, ref: str) -> Iterator[str]:
        stored = fhir.get(tx, *ref.split("/"))
        status = stored.resource.get("status", "") if stored else "not here"
        yield f"account {ref}" + (f" ({status})" if status else "")
        holds = self._holds(tx, ref)
        yield from (f"  held: {says}" for says in holds)
        for one in sorted(store.obligations_of(tx, ref), key=lambda one: (one.basis_kind, one.targets, one.generation)):
            kind = "" if one.basis_kind == "charge" else f"{one.basis_kind} "
            yield f"  {kind}{one.basis_key}: {self._amounts(one)}"
            yield from (f"    - {says.says}" for says in one.statement if says.says not in holds)
        for credit in money.credits_of(tx, ref):
            yield f"  credit {credit.amount} of {credit.payment_id}"
        yield f"  asks for {self._asks(tx, ref) or 'nothing'}"

    def _holds(self, tx: Tx, ref: str) -> list[str]:
        facts = facts_of(gather(tx, ref), self._facility)
        return [hold.says for hold in holds_of(facts, tx.now.astimezone(self._zone).date())]

    def _amounts(self, one: ObligationView) -> str:
        said = [str(one.state) + (f" ({one.hold})" if one.hold else "")]
        said += [f"patient {one.patient}"] if one.patient else []
        said += [f"pending {one.pending}"] if one.pending else []
        said += [f"paid {one.paid}"] if one.paid else []
        if one.patient and one.collectable_from and one.collectable_from.year > 1970:
            said.append(f"from {one.collectable_from.replace(tzinfo=UTC).astimezone(self._zone).date()}")
        return ", ".join(said)

    def _asks(self, tx: Tx, ref: str) -> str:
        amounts: dict[str, Money] = {}
        for one in store.owed(tx, ref):
            had = amounts.get(one.askable.currency)
            amounts[one.askable.currency] = had + one.askable if had else one.askable
        return " + ".join(str(amount) for _, amount in sorted(amounts.items()))


def account_refs(tx: Tx) -> list[str]:
    found = tx.all(select(rows.accounts.c.account_ref).where(rows.accounts.c.tenant_id == tx.tenant))
    refs = {row["account_ref"] for row in found}
    return sorted(ref for ref in refs if ref.startswith("Account/") or store.obligations_of(tx, ref))


def _name(tx: Tx, kind: str, resource_id: str) -> str:
    """As its sender names it."""
    stored = fhir.get(tx, kind, resource_id) if kind in TYPES else None
    if stored is None:
        return f"{kind}/{resource_id}"
    value = next((str(one.get("value", "")) for one in stored.resource.get("identifier", ())), resource_id)
    match kind:
        case "Account":
            return value
        case "ChargeItem":
            return "charge " + "/".join(value.split("|")[2:])
        case "Coverage":
            return "coverage " + "/".join(value.split("|")[1:])
        case _:
            return f"{kind} {value.rpartition('|')[2]}"
