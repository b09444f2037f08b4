"""What `fhirpay map` prints of one message: as JSON for programs, as a table for people, and what its checks found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import typer

from ..config import Facility, Interface
from ..errors import ConfigInvalid, MessageInvalid
from ..fhir.json import dumps, loads
from ..hl7.strict import Finding as Departure
from ..hl7.strict import check
from ..mapping.lint.finding import RANK, Finding
from ..mapping.loader import Maps
from ..mapping.message_view import message_bundle
from ..mapping.preview import MappedResult
from ..usecases.compare_maps import Comparison, Difference
from ..usecases.trial import Owed, Tried
from .context import out
from .map_view import lines_of


def show_result(result: MappedResult, tried: Tried | None, *, as_json: bool, explain: bool) -> None:
    """A message: its Bundle or why there is none; what waits for a person; what is owed then."""
    beside = result.outcome if result.bundle is not None else None
    if as_json:
        out(dumps(result.resource()))
        for issue in beside["issue"] if beside else ():
            typer.echo(f"fhirpay: message {result.position}: {_issue(issue)}", err=True)
        if tried is not None:
            out(dumps(_tried_json(tried)))
    else:
        for line in lines_of(result, tried):
            out(line)
        for issue in (result.outcome or {}).get("issue", ()):
            out(f"   {issue['severity']}: {_issue(issue)}")
        if tried is not None and tried.refused is not None:
            out(f"   refused at the gate, nothing would be kept: {tried.refused} [{tried.refused.code}]")
    if explain and result.trace is not None:
        for line in result.trace.lines():
            typer.echo(f"   {line}", err=as_json)


def show_message(result: MappedResult, interface: Interface, facility: Facility, maps: Maps, now: datetime) -> None:
    """A message as a Bundle of type `message`, or why there is none."""
    if result.mapped is None or result.message is None:
        out(dumps(result.resource()))
        return
    bundle = message_bundle(result.message, result.mapped, interface, facility, maps=maps, now=now)
    out(dumps(bundle))


def show_comparison(found: Comparison, *, as_json: bool) -> None:
    """What the working copy of the mappings does otherwise than what is released."""
    if as_json:
        for one in found.differing:
            at = {"file": one.file, "message": one.position, "controlId": one.control_id}
            out(dumps({**at, "fhir": [_difference_json(each) for each in one.fhir]}))
        out(dumps({"messages": found.messages, "money": [_difference_json(each) for each in found.money]}))
        return
    for one in found.differing:
        out(f"── {one.file} message {one.position} {one.control_id}")
        for each in one.fhir:
            out(f"   {each}")
    if found.money:
        out("── money, after the last message (released → working copy)")
        for each in found.money:
            out(f"   {each}")
    out(f"{found.messages} messages: {len(found.differing)} differ in FHIR, {len(found.money)} amounts differ")


def show_lint(found: Sequence[Finding], messages: int, *, notes: bool, as_json: bool) -> None:
    """What is wrong with mapping files, the worst first; the last line counts."""
    counts = Counter(one.severity for one in found)
    shown = [one for one in found if notes or one.severity != "note"]
    if as_json:
        for one in shown:
            out(dumps(asdict(one)))
        out(dumps({"messages": messages, **{f"{name}s": counts[name] for name in RANK}}))
        return
    for one in shown:
        out(str(one))
    tried = f", {messages} messages tried" if messages else ""
    out(", ".join(f"{counts[name]} {name}{'' if counts[name] == 1 else 's'}" for name in RANK) + tried)


def _difference_json(one: Difference) -> dict[str, str]:
    return {"what": one.what, "released": one.released, "working": one.working}


def _tried_json(tried: Tried) -> dict[str, Any]:
    refused = {} if tried.refused is None else {"refused": tried.refused.code}
    return {"state": tried.state, "detail": tried.detail, **refused, "owed": [_owed_json(one) for one in tried.owed]}


def _owed_json(one: Owed) -> dict[str, Any]:
    since = {} if one.since is None else {"since": one.since.isoformat()}
    amounts = {name: getattr(one, name).decimal for name in ("patient", "pending", "askable")}
    return {
        "account": one.account,
        "kind": one.kind,
        "basis": one.basis,
        "state": one.state,
        **amounts,
        "currency": one.patient.currency,
        **since,
        "why": list(one.why),
    }


def show_findings(result: MappedResult, as_json: bool) -> bool:
    """Print what the standard's tables say about a message, by location; whether there are errors."""
    if result.message is None:  # why it can't be read has been said
        return False
    findings = sorted(check(result.message), key=lambda one: (one.location, one.severity, one.text))
    if as_json:
        out(dumps({"resourceType": "OperationOutcome", "issue": [_as_issue(one) for one in findings] or [_SOUND]}))
    else:
        for one in findings:
            out(f"   {one.severity} {one.location}: {one.text}")
        out(f"   {len(findings)} departures from HL7 {result.message.version}")
    return any(one.severity == "error" for one in findings)


_SOUND = {"severity": "information", "code": "informational", "details": {"text": "as the standard's tables say"}}


def _as_issue(finding: Departure) -> dict[str, Any]:
    text = {"text": finding.text}
    return {"severity": finding.severity, "code": "structure", "details": text, "location": [finding.location]}


def _issue(issue: dict[str, Any]) -> str:
    text = issue.get("details", {}).get("text") or issue.get("diagnostics", "")
    return ": ".join([*issue.get("location", []), text])


def differs(result: MappedResult, against: Path) -> bool:
    """Whether it is another resource than the one in the folder, to the last digit of each amount."""
    control_id = result.control_id
    name = control_id if re.fullmatch(r"[\w-][\w.-]*", control_id) else str(result.position)
    path = against / f"{name}.json"
    try:
        expected = loads(path.read_bytes())
    except OSError as error:
        typer.echo(f"fhirpay: there is no {path} to compare with ({error.strerror})", err=True)
        return True
    except MessageInvalid as error:
        raise ConfigInvalid(f"{path}: {error}") from None
    if _exact(expected) == _exact(loads(dumps(result.resource()))):
        return False
    typer.echo(f"fhirpay: message {result.position} differs from {path}", err=True)
    return True


def _exact(value: Any) -> Any:
    """With numbers as they are written: 125.5 is not 125.50."""
    if isinstance(value, dict):
        return {name: _exact(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_exact(member) for member in value]
    return f"number {value}" if isinstance(value, Decimal | int) and not isinstance(value, bool) else value
