"""Insurance that a sender doesn't name any more on an account, or takes out of it, was withdrawn: called by
apply_message.py for each account that a message has written.

A Coverage that is withdrawn makes nobody a self-payer: what it covered stays pending, and a person is asked who pays
(billing/responsibility.py). Its copay is not asked for. On an account of several patients a message speaks for its own
patient alone, so what it leaves out of another one's is put back.
"""

from __future__ import annotations

from typing import Any

from ..db.unit import Tx
from ..fhir import replaced, store
from ..fhir.merge import named_coverages
from ..fhir.store import Change, Stored

Resource = dict[str, Any]
OURS = ":coverage"  # the system of what was made of IN1: such a Coverage belongs to one account


def settle(tx: Tx, written: list[tuple[Stored, Change]], *, source: str) -> list[tuple[Stored, Change]]:
    """What changed besides."""
    patients = [one.reference for one, _ in written if one.type == "Patient"]
    found: list[tuple[Stored, Change]] = []
    for account, change in written:
        if account.type == "Account" and change == "updated":
            before = store.version(tx, "Account", account.id, account.version - 1)
            if before is not None:
                found += _of_account(tx, account, before.resource, patients[:1], source)
    return found


def _of_account(
    tx: Tx, account: Stored, before: Resource, patients: list[str], source: str
) -> list[tuple[Stored, Change]]:
    now = named_coverages(account.resource)
    gone = {ref: one for ref, one in named_coverages(before).items() if ref not in now}
    kept: list[Resource] = []
    found: list[tuple[Stored, Change]] = []
    for ref, member in gone.items():
        coverage = store.locked(tx, *ref.split("/"))
        if coverage is None or not _from_in1(coverage.resource):
            continue
        whose = coverage.resource.get("beneficiary", {}).get("reference", "")
        if patients and replaced.survivor(tx, whose) != replaced.survivor(tx, patients[0]):
            kept.append(member)
        elif coverage.resource.get("status") == "active":
            found.append(store.put(tx, {**coverage.resource, "status": "cancelled"}, source=source))
    if kept:
        members = [*account.resource.get("coverage", ()), *kept]
        found.append(store.put(tx, {**account.resource, "coverage": members}, source=source))
    return found


def _from_in1(coverage: Resource) -> bool:
    return any(str(one.get("system", "")).endswith(OURS) for one in coverage.get("identifier", ()))
