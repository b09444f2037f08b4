"""A graded feed as text, JSON and HTML: for the analyst at the desk, for a program, and to send to the other side.

Beside it what was counted in real traffic, as text and JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from .counts import Checked, Found
from .feed import Grade, Report
from .finding import Finding, Severity
from .page import Html, code, page, section, table, tag

_PLACES = 3
_WORDS = {Severity.BLOCKS: "in the way", Severity.ASK: "to ask", Severity.NOTE: "to know"}
_HEADS = {
    Severity.BLOCKS: "In the way of going live",
    Severity.ASK: "Questions for the sender",
    Severity.NOTE: "Good to know",
}
_GRADES = {Grade.READY: "ready", Grade.QUESTIONS: "ask", Grade.NOT_READY: "blocks"}


def as_text(report: Report, *, every_place: bool = False) -> Iterator[str]:
    counts = ", ".join(f"{count} {label}" for label, count in report.labels)
    yield f"{report.messages} messages ({counts}) against the interface '{report.interface}'"
    for total in report.totals:
        yield f"  {total.kind or '(no type)'}: {total.lines} lines, {total.amount} {total.currency}"
    if report.waiting:
        yield f"  {report.waiting} lines would wait for a person"
    if report.owed:
        yield "What would be owed after the last message, as the program would have it"
    for one in report.owed:
        yield f"  {one.amount} {one.currency} {one.says} ({_accounts(one.accounts)})"
    for severity in Severity:
        findings = [one for one in report.findings if one.kind.severity is severity]
        if findings:
            yield ""
            yield f"{_HEADS[severity]} ({len(findings)})"
        for one in findings:
            yield f"  {one.kind.code}: {one.says}"
            yield f"     at {_places(one, len(one.hits) if every_place else _PLACES)}"
            if severity is not Severity.NOTE or every_place:
                yield f"     ask: {one.kind.ask}"
            if one.kind.setting:
                yield f"     setting: {one.kind.setting}"
    yield ""
    yield f"{report.grade}: {_summary(report)}"


def _accounts(count: int) -> str:
    return f"{count} account{'' if count == 1 else 's'}"


def _summary(report: Report) -> str:
    counts = [
        (word, sum(one.kind.severity is severity for one in report.findings)) for severity, word in _WORDS.items()
    ]
    return ", ".join(f"{count} {word}" for word, count in counts if count) or "nothing to say"


def _places(one: Finding, most: int) -> str:
    places = [hit.place for hit in one.hits]
    return "; ".join(places[:most]) + (f" and {len(places) - most} more" if len(places) > most else "")


def as_json(report: Report) -> str:
    return json.dumps(_values(report), ensure_ascii=False, indent=1)


def _values(report: Report) -> dict[str, Any]:
    return {
        "grade": report.grade,
        "interface": report.interface,
        "files": report.files,
        "messages": report.messages,
        "types": dict(report.labels),
        "totals": [
            {"type": one.kind, "lines": one.lines, "amount": str(one.amount), "currency": one.currency}
            for one in report.totals
        ],
        "waiting": report.waiting,
        "owed": [
            {"says": one.says, "accounts": one.accounts, "amount": str(one.amount), "currency": one.currency}
            for one in report.owed
        ],
        "findings": [
            {
                "code": one.kind.code,
                "severity": one.kind.severity,
                "says": one.says,
                "ask": one.kind.ask,
                "setting": one.kind.setting or None,
                "count": len(one.hits),
                "places": [{"at": hit.place, "what": hit.what or None} for hit in one.hits],
            }
            for one in report.findings
        ],
    }


def as_html(report: Report) -> str:
    return page(
        f"Feed {report.interface}: {report.grade}",
        tag("h1", f"A sample of the feed “{report.interface}”"),
        tag("p", ", ".join(report.files), of="lead"),
        tag("p", tag("span", report.grade, of=f"grade {_GRADES[report.grade]}")),
        tag("p", f"{_summary(report)}.", of="lead"),
        section("What is in it", _contents(report)),
        *(_of_severity(report, severity) for severity in Severity),
        tag(
            "p",
            "Places name messages by their order in the sample and their MSH-10. No name and no number of a patient "
            "stands in this report.",
            of="small",
        ),
    )


def _contents(report: Report) -> Html:
    rows = [(label, str(count)) for label, count in report.labels]
    lines = [(one.kind or "(empty)", str(one.lines), f"{one.amount} {one.currency}") for one in report.totals]
    waiting = tag("p", f"{report.waiting} lines would wait for a person.") if report.waiting else Html("")
    charges = table(("FT1-6", "lines", "amount, as it would be taken"), lines, wide=(30, 20, 50)) if lines else Html("")
    stands = [(one.says, str(one.accounts), f"{one.amount} {one.currency}") for one in report.owed]
    owed = table(("after the last message", "accounts", "owed"), stands, wide=(50, 20, 30)) if stands else Html("")
    return Html(table(("message", "count"), rows, wide=(70, 30)) + charges + waiting + owed)


def _of_severity(report: Report, severity: Severity) -> Html:
    findings = [one for one in report.findings if one.kind.severity is severity]
    return section(f"{_HEADS[severity]} ({len(findings)})", *map(_as_html, findings)) if findings else Html("")


def _as_html(one: Finding) -> Html:
    kind = one.kind
    answered = tag("p", "Answered by the setting ", code(kind.setting), ".") if kind.setting else Html("")
    return tag(
        "div",
        tag("h3", tag("span", _WORDS[kind.severity], of=f"badge {kind.severity}"), f" {kind.code}"),
        tag("p", one.says),
        tag("p", tag("strong", "Ask: "), kind.ask),
        answered,
        tag("p", f"{len(one.hits)} places: {_places(one, 6)}", of="small"),
        of=f"finding {kind.severity}",
    )


def counted_text(counted: Sequence[tuple[Checked, Sequence[Found]]]) -> Iterator[str]:
    if not counted:
        yield "nothing has been checked yet: a server with the worker role begins with what comes in from now on"
    for one, found in counted:
        shed = f", {one.shed} left out since they came too fast" if one.shed else ""
        yield f"{one.interface}: {one.checked} messages checked since {one.first_at:%Y-%m-%d %H:%M}{shed}"
        for agreed, head in ((True, "Departs from its profile"), (False, "Departs from the standard's tables alone")):
            kinds = [each for each in found if each.departure.agreed is agreed]
            if kinds:
                yield f"  {head} ({len(kinds)})"
            for each in kinds:
                when = f"first {each.first_at:%Y-%m-%d}, last {each.last_at:%Y-%m-%d} in {each.last_message}"
                yield f"    {each.messages} × {each.departure}; {when}"


def counted_json(counted: Sequence[tuple[Checked, Sequence[Found]]]) -> Iterator[str]:
    """An interface a line."""
    for one, found in counted:
        said = asdict(one) | {"findings": [asdict(each.departure) | asdict(each) for each in found]}
        for each in said["findings"]:
            del each["departure"]
        yield json.dumps(said, ensure_ascii=False, default=lambda at: at.isoformat())
