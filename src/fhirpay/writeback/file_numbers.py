"""Whom and what a line is about, in the numbers that the receiver of a posting file knows. Called by usecases/.

Which of a resource's identifiers that is, the receiver's settings say by `system`; one that is named and isn't there is
no number, since any other might be somebody else's there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from ..config_posting_file import PostingFile
from ..db.unit import Tx
from .as_received import guarantor_number, transaction_id
from .posted import Line, PostedPayment
from .posting_file import Numbers
from .references import resource_of

_MADE_UP = ":guarantor"  # `kind` in mappings/base/segments/gt1_guarantor.yaml


def numbers_of(tx: Tx, posted: PostedPayment, line: Line, to: PostingFile) -> Numbers:
    """Of the account that stands for the line by now: a merge may have moved it."""
    account = line.of_account or posted.of_account
    number = _number(resource_of(tx, account), to.account_system)
    day = posted.at.astimezone(ZoneInfo(to.zone)).date().isoformat()
    guarantor = number if to.guarantor_number == "account" else _guarantor(tx, account, to, day)
    return Numbers(
        account=number,
        guarantor=guarantor,
        visit=_number(_visit(tx, line.target), to.visit_system),
        charge=transaction_id(tx, line.target) if line.target else "",
    )


def _guarantor(tx: Tx, reference: str, to: PostingFile, day: str) -> str:
    """Of the first guarantor who answered for the account on that day. Who is the patient has no such number in FHIR:
    it is as the account's newest message has it, and never the patient's own record number."""
    for one in resource_of(tx, reference).get("guarantor") or ():
        period = one.get("period") or {}
        if not str(period.get("start", ""))[:10] <= day <= (str(period.get("end", ""))[:10] or day):
            continue
        party = str((one.get("party") or {}).get("reference", ""))
        if to.guarantor_system or not party.startswith("Patient/"):
            return _number(resource_of(tx, party), to.guarantor_system)
        return guarantor_number(tx, reference)
    return ""


def _visit(tx: Tx, target: str) -> Mapping[str, Any]:
    if target.startswith("ChargeItem/"):
        target = (resource_of(tx, target).get("context") or {}).get("reference", "")
    return resource_of(tx, target) if target.startswith("Encounter/") else {}


def _number(resource: Mapping[str, Any], system: str) -> str:
    return next(_numbers(resource, system), "")


def _numbers(resource: Mapping[str, Any], system: str) -> Iterator[str]:
    """Without those that our maps have made up, a guarantor's for each patient: nobody else knows them."""
    for one in resource.get("identifier") or ():
        known = str(one.get("system", ""))
        if (
            one.get("value")
            and one.get("use") != "old"
            and (known == system if system else not known.endswith(_MADE_UP))
        ):
            yield str(one["value"])
