"""A Subscription that a client wants, read and checked. Pure; by usecases/subscribe.py.

FHIR R4 subscription.html: `criteria` is a search, told by an empty POST or, with a payload, by a PUT of the resource.
Or `criteria` is our topic's URL (Subscriptions R5 Backport, StructureDefinition backport-subscription): told by
notification Bundles, with event numbers. rest-hook is the one channel; JSON the one format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast, get_args
from urllib.parse import parse_qsl, urlencode

from ..errors import MessageInvalid, MessageUnsupported, RequiredMissing, ValueInvalid
from ..fhir import search
from ..fhir.pages import instant

TYPE = "PaymentReconciliation"
TOPIC = "https://fhirpay.dev/fhir/SubscriptionTopic/payment-posted"
Content = Literal["empty", "id-only", "full-resource"]
HEADERS_MAX, HEADER_MAX = 10, 2_000
TIMEOUT_MAX_S = 20  # below half a lease, with what else an attempt does
HEARTBEAT_LEAST_S = 30
AT_ONCE_MAX = 50
MASK = "(kept)"
_TIMEOUT_S, _AT_ONCE = 10, 10
_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-"
_JSON = "application/fhir+json"
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}):[ \t]*([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)\Z")
# What we say ourselves of a call, or what says how it is carried.
_OURS = frozenset(
    "accept connection content-encoding content-length content-type expect host keep-alive te trailer"
    " transfer-encoding upgrade".split()
)


@dataclass(frozen=True, slots=True)
class Asked:
    """`criteria` is a query string. `headers` are by name; a value of `MASK` stands for the one that is kept."""

    status: Literal["requested", "active", "off"]
    by_topic: bool
    criteria: str
    content: Content
    endpoint: str
    headers: tuple[tuple[str, str], ...] = ()
    heartbeat_s: int = 0
    timeout_s: int = _TIMEOUT_S
    at_once: int = 1
    ends_at: datetime | None = None


def read(resource: Mapping[str, Any], base_url: str = "") -> Asked:
    """Of a resource that is sound R4. Raises MessageInvalid, or MessageUnsupported, with the address."""
    if resource.get("status") not in ("requested", "active", "off"):
        raise ValueInvalid("ask for requested, or for off", location="Subscription.status")
    channel = resource["channel"]
    if channel.get("type") != "rest-hook" or _extension(channel.get("_type"), "channel-type"):
        raise MessageUnsupported("rest-hook is the one channel here", location="Subscription.channel.type")
    if not channel.get("endpoint"):
        raise RequiredMissing("a rest-hook needs an endpoint", location="Subscription.channel.endpoint")
    payload = channel.get("payload", "")
    if payload not in ("", _JSON):
        raise MessageUnsupported(f"{_JSON} is told, or nothing", location="Subscription.channel.payload")
    criteria = str(resource.get("criteria"))
    by_topic = not criteria.startswith(TYPE)
    if by_topic and criteria != TOPIC:
        says = f"criteria are {TYPE}?… or the topic {TOPIC}"
        raise MessageUnsupported(says, location="Subscription.criteria")
    end = instant(resource["end"]) if "end" in resource else None
    if not by_topic:
        return Asked(
            status=resource["status"],
            by_topic=False,
            criteria=_criteria([criteria], base_url),
            content="full-resource" if payload else "empty",
            endpoint=channel["endpoint"],
            headers=_headers(channel.get("header", ())),
            ends_at=end,
        )
    content = _extension(channel.get("_payload"), "payload-content")
    if content not in get_args(Content):
        says = f"say by the extension backport-payload-content: {', '.join(get_args(Content))}"
        raise RequiredMissing(says, location="Subscription.channel.payload.extension")
    if not payload:
        raise RequiredMissing(f"a topic is told as {_JSON}", location="Subscription.channel.payload")
    heartbeat_s = _number(channel, "heartbeat-period")
    if 0 < heartbeat_s < HEARTBEAT_LEAST_S:
        says = f"a heartbeat comes every {HEARTBEAT_LEAST_S} s at most often"
        raise MessageUnsupported(says, location="Subscription.channel.extension")
    filters = _extensions(resource.get("_criteria"), "filter-criteria")
    return Asked(
        status=resource["status"],
        by_topic=True,
        criteria=_criteria([str(one) for one in filters], base_url),
        content=cast("Content", content),
        endpoint=channel["endpoint"],
        headers=_headers(channel.get("header", ())),
        heartbeat_s=heartbeat_s,
        timeout_s=min(_number(channel, "timeout") or _TIMEOUT_S, TIMEOUT_MAX_S),
        at_once=min(_number(channel, "max-count") or _AT_ONCE, AT_ONCE_MAX),
        ends_at=end,
    )


def _criteria(stated: Iterable[str], base_url: str) -> str:
    """Searches that all have to be met, as one query string."""
    pairs: list[tuple[str, str]] = []
    for one in stated:
        kind, _, query = one.partition("?")
        if kind != TYPE:
            says = f"{TYPE} is told of, by criteria such as {TYPE}?status=active"
            raise MessageUnsupported(says, location="Subscription.criteria")
        pairs += parse_qsl(query, keep_blank_values=True)
    for name, _ in pairs:
        if name.startswith("_") and name not in ("_id", "_lastUpdated"):
            raise MessageUnsupported("what a search finds, not how it is shown", location="Subscription.criteria")
    if base_url:
        pairs = [(name, value.replace(f"{base_url}/", "")) for name, value in pairs]
    try:
        search.parse(TYPE, pairs)
    except (MessageInvalid, MessageUnsupported) as error:
        error.location = "Subscription.criteria"
        raise
    return urlencode(pairs)


def _headers(stated: Iterable[Any]) -> tuple[tuple[str, str], ...]:
    at = "Subscription.channel.header"
    found: dict[str, tuple[str, str]] = {}
    for one in stated:
        match = _HEADER.match(str(one))
        # What is wrong with it isn't quoted: it may be a secret.
        if match is None or len(str(one)) > HEADER_MAX:
            raise ValueInvalid(f"a header is 'Name: value' in ASCII, {HEADER_MAX} characters at most", location=at)
        name = match[1].lower()
        if name in _OURS or name in found:
            raise ValueInvalid(f"the header {name} is ours to say, or said twice", location=at)
        found[name] = (match[1], match[2])
    if len(found) > HEADERS_MAX:
        raise ValueInvalid(f"at most {HEADERS_MAX} headers", location=at)
    return tuple(found.values())


def _number(channel: Mapping[str, Any], name: str) -> int:
    found = _extension(channel, name)
    if found is not None and not (isinstance(found, int) and 0 <= found < 1 << 31):
        raise ValueInvalid(f"backport-{name} is a number", location="Subscription.channel.extension")
    return found or 0


def _extension(element: Any, name: str) -> Any:
    return next(iter(_extensions(element, name)), None)


def _extensions(element: Any, name: str) -> list[Any]:
    """The values of the backport's extensions of this name."""
    stated = element.get("extension", ()) if isinstance(element, dict) else ()
    ours = [one for one in stated if one.get("url") == _BACKPORT + name]
    return [value for one in ours for key, value in one.items() if key.startswith("value")]


def shown(resource: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    """What is kept of the resource to be shown: its headers by name, no more; what we set ourselves isn't in it."""
    rest = {key: value for key, value in resource.items() if key not in ("id", "status", "error", "meta")}
    meta = {key: value for key, value in resource.get("meta", {}).items() if key in ("profile", "tag")}
    channel = dict(resource["channel"])
    if asked.headers:
        channel["header"] = [f"{name}: {MASK}" for name, _ in asked.headers]
    return {**rest, **({"meta": meta} if meta else {}), "channel": channel}
