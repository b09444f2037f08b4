"""What EHRs tell a subscriber, in the shapes of the Subscriptions R5 Backport (R4, R4B) and of R5, with our content."""

from __future__ import annotations

from typing import Any, Literal

Shape = Literal["R4", "R4B", "R5"]
TOPIC = "https://ehr.example/topics/charge-changed"


def notification(
    kind: str = "event-notification",
    numbers: tuple[int, ...] = (),
    *,
    count: int | None = None,
    shape: Shape = "R4",
    subscription: str = "sub1",
    status: str = "active",
    focus: str = "",
    resources: tuple[dict[str, Any], ...] = (),
) -> dict[str, Any]:
    """A Bundle of events with these numbers; `count` is that of all so far, the last number unless given."""
    count = count if count is not None else max(numbers, default=0)
    about = f"https://ehr.example/fhir/Subscription/{subscription}"
    says = _parameters if shape == "R4" else _status
    first = {"fullUrl": "urn:uuid:2f1b1d8e-5f0f-4a55-9ff7-2f4a5c3b1c11"}
    first |= {"resource": says(kind, numbers, count, about, status, focus)}
    first |= {"request": {"method": "GET", "url": f"{about}/$status"}, "response": {"status": "200"}}
    entries = [first]
    for one in resources:
        url = f"{one['resourceType']}/{one['id']}"
        entries.append({"fullUrl": f"https://ehr.example/fhir/{url}", "resource": one})
        entries[-1] |= {"request": {"method": "PUT", "url": url}, "response": {"status": "200"}}
    type_ = "subscription-notification" if shape == "R5" else "history"
    return {"resourceType": "Bundle", "type": type_, "timestamp": "2026-11-20T09:00:00Z", "entry": entries}


def _parameters(kind: str, numbers: tuple[int, ...], count: int, about: str, status: str, focus: str) -> dict[str, Any]:
    given: list[dict[str, Any]] = [
        {"name": "subscription", "valueReference": {"reference": about}},
        {"name": "topic", "valueCanonical": TOPIC},
        {"name": "status", "valueCode": status},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(count)},
    ]
    for number in numbers:
        part: list[dict[str, Any]] = [{"name": "event-number", "valueString": str(number)}]
        part += [{"name": "focus", "valueReference": {"reference": focus}}] if focus else []
        given.append({"name": "notification-event", "part": part})
    if status == "error":
        given.append({"name": "error", "valueCodeableConcept": {"text": "nobody answered"}})
    return {"resourceType": "Parameters", "id": "status", "parameter": given}


def _status(kind: str, numbers: tuple[int, ...], count: int, about: str, status: str, focus: str) -> dict[str, Any]:
    events = [{"eventNumber": str(one)} | ({"focus": {"reference": focus}} if focus else {}) for one in numbers]
    says: dict[str, Any] = {"resourceType": "SubscriptionStatus", "status": status, "type": kind, "topic": TOPIC}
    says |= {"eventsSinceSubscriptionStart": str(count), "subscription": {"reference": about}}
    if status == "error":
        says["error"] = [{"text": "nobody answered"}]
    return says | ({"notificationEvent": events} if events else {})
