"""What a FHIR server tells a subscriber, read from the body of its call. Pure; by usecases/receive_notification.py.

R4's own rest-hook sends nothing, or the resource. Topic-based subscriptions send a Bundle whose first entry says what
it is: Parameters in R4, SubscriptionStatus in R4B (Subscriptions R5 Backport, notifications) and in R5
(subscriptionstatus.html). Counters are text in R4B and in R5's JSON, and have been numbers in drafts: both are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from ..errors import CodeInvalid, RequiredMissing
from .loose import objects, text

Kind = Literal["handshake", "heartbeat", "event-notification", "query-status", "query-event"]
_KINDS: tuple[str, ...] = get_args(Kind)
_BUNDLES = ("history", "subscription-notification")  # R4 and R4B; R5
_SAID_MAX = 500


@dataclass(frozen=True, slots=True)
class Notification:
    """`kind` is empty for a rest-hook of R4. `numbers` are those of the events in it, `count` that of all so far.

    `subscription` is its id at the server; `resources` are as they came, and `named` the types of what changed.
    """

    kind: Kind | Literal[""] = ""
    subscription: str = ""
    status: str = ""
    count: int | None = None
    numbers: tuple[int, ...] = ()
    named: frozenset[str] = frozenset()
    resources: tuple[dict[str, Any], ...] = ()
    error: str = ""

    @property
    def is_event(self) -> bool:
        """It says that something changed; the others say that somebody is there."""
        return self.kind in ("", "event-notification", "query-event")


def read_notification(found: Mapping[str, Any]) -> Notification:
    """Of a body, nothing where it was empty. Raises MessageInvalid for what is none."""
    kind = found.get("resourceType")
    if kind == "Bundle":
        return _topic_based(found)
    if not found:
        return Notification()
    if not isinstance(kind, str):
        raise RequiredMissing("a resource says its type", location="resourceType")
    return Notification(named=frozenset({kind}), resources=(dict(found),))


def _topic_based(bundle: Mapping[str, Any]) -> Notification:
    if bundle.get("type") not in _BUNDLES:
        raise CodeInvalid(f"a notification is a Bundle of type {' or '.join(_BUNDLES)}", location="Bundle.type")
    resources = [one.get("resource") for one in objects(bundle.get("entry"))]
    first = resources[0] if resources else None
    says = first if isinstance(first, dict) else {}
    if says.get("resourceType") == "Parameters":
        says = _of_parameters(says)
    elif says.get("resourceType") != "SubscriptionStatus":
        raise RequiredMissing("the first entry is the status of a subscription", location="Bundle.entry[0]")
    kind = says.get("type")
    if kind not in _KINDS:
        raise CodeInvalid(f"the type of a notification is one of {', '.join(_KINDS)}", location="Bundle.entry[0]")
    events = list(objects(says.get("notificationEvent")))
    numbers = [_number(one.get("eventNumber")) for one in events]
    carried = tuple(one for one in resources[1:] if isinstance(one, dict) and isinstance(one.get("resourceType"), str))
    focus = {_reference(one.get("focus")).split("/")[-2:][0] for one in events if "/" in _reference(one.get("focus"))}
    return Notification(
        kind=cast("Kind", kind),
        subscription=_reference(says.get("subscription")).rpartition("/")[2],
        status=text(says.get("status")),
        count=_number(says.get("eventsSinceSubscriptionStart")),
        numbers=tuple(one for one in numbers if one is not None),
        named=frozenset(focus),
        resources=carried,
        error="; ".join(filter(None, map(_concept, objects(says.get("error")))))[:_SAID_MAX],
    )


# ── R4: Parameters (StructureDefinition backport-subscription-status-r4) ──────────────────────────────────────────────


def _of_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The same as a SubscriptionStatus."""
    given = list(objects(parameters.get("parameter")))
    return {
        "subscription": _value(given, "subscription"),
        "status": _value(given, "status"),
        "type": _value(given, "type"),
        "eventsSinceSubscriptionStart": _value(given, "events-since-subscription-start"),
        "notificationEvent": [
            {"eventNumber": _value(parts, "event-number"), "focus": _value(parts, "focus")}
            for one in given
            if one.get("name") == "notification-event"
            for parts in (list(objects(one.get("part"))),)
        ],
        "error": [one for one in (_any_value(one) for one in given if one.get("name") == "error") if one],
    }


def _value(given: list[dict[str, Any]], name: str) -> Any:
    return next((_any_value(one) for one in given if one.get("name") == name), None)


def _any_value(parameter: Mapping[str, Any]) -> Any:
    return next((value for key, value in parameter.items() if key.startswith("value")), None)


# ── whatever a server may write ───────────────────────────────────────────────────────────────────────────────────────


def _number(value: Any) -> int | None:
    """A count; None for what is none."""
    digits = str(value)
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 18 else None


def _reference(value: Any) -> str:
    return text(value.get("reference")) if isinstance(value, dict) else ""


def _concept(value: Mapping[str, Any]) -> str:
    coded = [text(one.get("display")) or text(one.get("code")) for one in objects(value.get("coding"))]
    return text(value.get("text")) or ", ".join(filter(None, coded))
