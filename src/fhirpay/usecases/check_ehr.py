"""What can an EHR do for us? Asked before the first payment does: `fhirpay conformance check`.

It reads the CapabilityStatement and the smart-configuration, asks for a token where the connection has one to ask for,
and tries what may be tried without a trace: it reads and searches for what there isn't, and never writes. Nothing that
an EHR answers may raise here: whatever it is, is a finding. No resource of it is kept or shown, only counts and codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from ..config import Connection
from ..config_writeback import FinancialTransaction
from ..domain.clock import Clock
from ..errors import EhrUnavailable, FhirpayError, MessageInvalid
from ..fhir.access import Access
from ..fhir.json import loads
from ..fhir.statement import Capability, FhirVersion, Statement, name_of, read_statement
from ..net.errors import NeverSent, Uncertain
from ..net.http import HttpClient, Response
from ..smart.backend import BackendServices
from ..smart.configuration import PATH, Configuration, read_configuration, what_it_is
from ..smart.launch_configuration import LaunchConfiguration, read_launch_configuration
from ..smart.token import clocks_differ, skew_s
from ..writeback.invoice_status import RESOURCE_TYPE as INVOICE
from ..writeback.invoice_status import Way as Update
from ..writeback.invoice_status import lacks, way_of
from ..writeback.oracle_basic import RESOURCE_TYPE as BASIC
from ..writeback.payment_reconciliation import PAYMENT_SYSTEM, RESOURCE_TYPE
from ..writeback.profile import Way
from ..writeback.renderers import FOLLOWS, RENDERERS
from .look_at_visit import search_param

READ = ("ChargeItem", "Account", "Invoice", "Patient", "Encounter")  # what we would read, besides what we post
_ABILITIES = ("read", "search", "create", "update_create", "conditional_create")
SUBSCRIPTION = "Subscription"
NOBODY = "fhirpay-conformance-check"  # the id and identifier of a posting that there isn't

WAYS = {
    Way.PUT: "each posting is put at an id that follows from ours: sent twice, it is there once",
    Way.IF_NONE_EXIST: "each posting is created unless the EHR has our identifier (If-None-Exist)",
    Way.SEARCH: "each posting is looked for by our identifier, then created; a lost answer is looked for again later",
    Way.BLIND: "each posting is created once; one whose answer is lost is for a person, since nothing can be looked up",
}


class Level(StrEnum):
    """How much it stands in the way of going live."""

    BLOCKS = "blocks"
    ASK = "ask"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Found:
    level: Level
    code: str
    says: str


@dataclass(frozen=True, slots=True)
class Tried:
    """One call that was made: what for, what came of it (a status, or 0 for no answer), whether that is as it should
    be."""

    what: str
    status: int
    fine: bool


@dataclass(slots=True)
class Report:
    """`statement`, `smart`, `launch` are None where they couldn't be read; `granted` where no token was asked for."""

    url: str
    statement: Statement | None = None
    smart: Configuration | None = None
    launch: LaunchConfiguration | None = None
    granted: tuple[str, ...] | None = None
    skew_s: int | None = None
    offers: dict[str, Capability] = field(default_factory=dict[str, Capability])
    ways: dict[str, tuple[Way, ...]] = field(default_factory=dict[str, tuple[Way, ...]])
    tried: list[Tried] = field(default_factory=list[Tried])
    found: list[Found] = field(default_factory=list[Found])

    def say(self, level: Level, code: str, says: str) -> None:
        self.found.append(Found(level, code, says))

    @property
    def grade(self) -> str:
        levels = {one.level for one in self.found}
        return "not ready" if Level.BLOCKS in levels else "questions" if Level.ASK in levels else "ready"


async def check_ehr(connection: Connection, http: HttpClient, access: Access, clock: Clock) -> Report:
    """Everything that can be found out of it. `http` and `access` are the connection's own."""
    report = Report(connection.base_url)
    await _configuration(report, connection, http)
    authorization = await _token(report, connection, access)
    if authorization is not None:
        await _statement(report, connection, http, authorization, clock)
    if report.statement is not None:
        _offers(report, connection, access)
        await _try(report, connection, http, authorization or "")
    return report


async def _configuration(report: Report, connection: Connection, http: HttpClient) -> None:
    needed = connection.auth == "backend-services"
    answer = await _get(report, http, PATH, "")
    if answer is None:
        return
    _launch(report, connection, answer)
    try:
        report.smart = read_configuration(answer, private=connection.private_network)
    except MessageInvalid as error:
        level = Level.BLOCKS if needed else Level.NOTE
        report.say(level, "no-smart", f"no token can be had by {PATH[1:]}: {error.message}")
        return
    if report.smart.lacks:
        report.say(Level.NOTE, "smart-incomplete", f"{PATH[1:]} lacks {', '.join(report.smart.lacks)}")
    if not needed and not connection.token:
        says = 'it gives tokens: register us there, and set auth = "backend-services" and client_id'
        report.say(Level.ASK, "not-registered", says)


def _launch(report: Report, connection: Connection, answer: Response) -> None:
    """Whether people can come to us from there. What it doesn't list it may be able to do all the same."""
    try:
        found = read_launch_configuration(answer, private=connection.private_network, auth=connection.launch_auth)
    except MessageInvalid as error:
        if connection.launch_client_id:
            report.say(Level.BLOCKS, "no-launch", f"it can't launch us: {error.message}")
        return
    report.launch = found
    if not connection.launch_client_id:
        if "launch-ehr" in found.capabilities:
            says = "people can come to us from its screens: register us there as an app, and set launch_client_id"
            report.say(Level.NOTE, "not-launched", says)
        return
    for doubt in found.doubts:
        report.say(Level.ASK, "launch-doubt", f"of launching us {doubt}")
    for needed in ("launch-standalone", "context-standalone-patient") if connection.launch_title else ():
        if needed not in found.capabilities:
            says = f"of signing in from our page (launch_title) it doesn't list the capability {needed}"
            report.say(Level.ASK, "launch-doubt", says)
    if connection.token_endpoint not in ("", found.token_url):
        report.say(Level.BLOCKS, "no-launch", "it names another token endpoint than the connection's token_endpoint")


async def _token(report: Report, connection: Connection, access: Access) -> str | None:
    """What to send as Authorization, maybe nothing; None: there is no token, and nothing more can be tried."""
    try:
        if isinstance(access, BackendServices):
            token = await access.token(within_s=connection.timeout_s)
            report.granted = tuple(map(str, token.granted))
            if token.short:
                says = f"it didn't grant {' '.join(map(str, token.short))}: what needs it isn't used"
                report.say(Level.ASK, "scope-short", says)
        return await access.authorization(within_s=connection.timeout_s)
    except EhrUnavailable as error:
        report.say(Level.BLOCKS, "no-token", error.message)
        return None


async def _statement(
    report: Report, connection: Connection, http: HttpClient, authorization: str, clock: Clock
) -> None:
    answer = await _get(report, http, "/metadata", authorization)
    if answer is None:
        return
    report.skew_s = skew_s(answer.headers, clock.now())
    if words := clocks_differ(report.skew_s):
        report.say(Level.ASK, "clock", words)
    if 300 <= answer.status < 400:
        to = _host(answer.headers.get("location", "")) or "elsewhere"
        says = f"/metadata leads to {to} ({answer.status}), and no redirect is followed: write that address as base_url"
        report.say(Level.BLOCKS, "redirect", says)
        return
    if not answer.ok:
        report.say(Level.BLOCKS, "no-metadata", f"/metadata was answered by {answer.status} with {what_it_is(answer)}")
        return
    try:
        report.statement = read_statement(answer.body)
    except MessageInvalid as error:
        says = f"/metadata is no CapabilityStatement but {what_it_is(answer)}: {error.message}"
        report.say(Level.BLOCKS, "no-metadata", says)
        return
    _version(report, connection, report.statement)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _version(report: Report, connection: Connection, statement: Statement) -> None:
    said, agreed = name_of(statement.stated) or "no version", connection.fhir_version
    if statement.version is None and (statement.stated or not agreed):
        report.say(Level.BLOCKS, "version", f"it speaks FHIR {said}; we know R4, R4B and R5")
    elif agreed and statement.version and statement.version != agreed:
        report.say(Level.BLOCKS, "version", f"it speaks FHIR {said}, and fhir_version says {agreed}")


def _offers(report: Report, connection: Connection, access: Access) -> None:
    assert report.statement is not None
    for kind in dict.fromkeys((*(connection.posted or (RESOURCE_TYPE,)), *READ, *connection.poll)):
        report.offers[kind] = report.statement.of(kind).within(access.granted(kind))
    _polled(report, connection)
    _told(report, connection, access)
    for kind in connection.posted:
        (_balanced if kind == INVOICE else _written)(report, kind)
    if connection.financial_transaction:
        _transactions(report, connection.financial_transaction)


def _written(report: Report, kind: str) -> None:
    assert report.statement is not None
    posting = report.offers[kind]
    offered = report.ways[kind] = RENDERERS[kind].ways(posting)
    if offered:
        if offered[0] is Way.BLIND:
            says = f"a {kind} whose answer is lost will be for a person"
            report.say(Level.ASK, "nothing-to-look-up", says)
        return
    why = (
        "our scopes don't let us write it"
        if set("cu") & set(posting.withheld)
        else f"it takes none{RENDERERS[kind].only}"
    )
    other = "Leave it out of `writes`" if kind in FOLLOWS else "Another way is a destination"
    if kind == RESOURCE_TYPE and report.statement.of(BASIC).create:
        other = f'It takes Basic: an Oracle Health site is posted to with writes = ["{BASIC}"]'
    report.say(Level.BLOCKS, "no-postings", f"no {kind} can be posted: {why}. {other}")


def _balanced(report: Report, kind: str) -> None:
    offer = report.offers[kind]
    if why := lacks(offer):
        report.say(Level.BLOCKS, "no-invoice-status", f"no {kind} can be set to balanced: {why}")
        return
    how = "PUT of what was read, with If-Match" if way_of(offer) is Update.UPDATE else "JSON Patch, with If-Match"
    report.say(Level.NOTE, "invoice-status", f"an {kind} that is paid in full is set to balanced by {how}")


def _transactions(report: Report, agreed: FinancialTransaction) -> None:
    """What the statement of a server that takes financial transactions doesn't say."""
    assert report.statement is not None
    if report.statement.version is FhirVersion.R5:
        report.say(Level.BLOCKS, "version", "a financial transaction is a Basic of R4, and it speaks R5")
    if not agreed.refund_alias:
        report.say(Level.ASK, "no-refund-alias", "refunds will be for a person: ask the site for a refund_alias")
    if not report.offers["Encounter"].search:
        says = "Encounter can't be searched: what is about a visit that came over HL7v2 will be for a person"
        report.say(Level.ASK, "no-visits", says)


def _polled(report: Report, connection: Connection) -> None:
    """Whether changes can be picked up, as far as it says so: of order and paging a statement says nothing."""
    assert report.statement is not None
    if not connection.poll:
        says = "no changes are picked up here (`poll` is empty): what is owed is what it sends us"
        report.say(Level.NOTE, "not-polled", says)
    if connection.bulk and not report.statement.exports:
        report.say(Level.ASK, "no-export", "it doesn't say that it has a bulk export ($export), as `bulk` wants it")
    for kind in connection.poll:
        offer, by = report.offers[kind], report.statement.searched_by.get(kind, frozenset())
        if not offer.search:
            why = "our scopes don't let us search" if "s" in offer.withheld else "it offers no search"
            report.say(Level.BLOCKS, "no-changes", f"changes of {kind} can't be picked up: {why}")
        elif context := connection.poll_by.get(kind):
            param = search_param(kind, context)
            if by and param not in by:
                says = f"it doesn't say that {kind} can be searched by {param}, as `poll_by` has it"
                report.say(Level.ASK, "no-context", says)
        elif by and "_lastUpdated" not in by and by & {"context", "encounter", "patient"}:
            says = f"{kind} is found by {', '.join(sorted(by & {'context', 'encounter', 'patient'}))}, and not by "
            says += "_lastUpdated: set `poll_by`, unless it sends what changes"
            report.say(Level.ASK, "changes-by-context", says)
        elif by and "_lastUpdated" not in by:
            says = f"it doesn't say that {kind} can be searched by _lastUpdated: without, all of it is read each time"
            report.say(Level.ASK, "changes-unfiltered", says)


def _told(report: Report, connection: Connection, access: Access) -> None:
    """Whether it tells of changes by itself, and of which kind its Subscriptions are."""
    assert report.statement is not None
    offer, topics = report.statement.of(SUBSCRIPTION).within(access.granted(SUBSCRIPTION)), report.statement.topics
    able = offer.read and (offer.create or offer.update_create)
    if connection.subscribe:
        report.offers[SUBSCRIPTION] = offer
        if not able:
            why = "our scopes don't let us make one" if set("cur") & set(offer.withheld) else "it takes none"
            report.say(Level.ASK, "not-told", f"no {SUBSCRIPTION} can be made ({why}): changes come by polling alone")
        for kind, topic in connection.subscribe_topics.items():
            if able and (not report.statement.topic_based or (topics and topic not in topics)):
                says = f"it doesn't say that it has the topic of {kind}"
                says += f"; it lists {', '.join(topics)}" if topics else ": the type itself will be the criteria"
                report.say(Level.ASK, "no-topic", says)
    elif able and connection.poll:
        kinds = (
            "by topic" + (f" ({', '.join(topics)})" if topics else "") if report.statement.topic_based else "by search"
        )
        says = f"it takes Subscriptions {kinds}: with `subscribe` it tells of changes at once"
        report.say(Level.NOTE, "could-tell", says)


async def _try(report: Report, connection: Connection, http: HttpClient, authorization: str) -> None:
    """Reads and searches for what there isn't; whatever is offered to be read, one of it, which is not looked at."""
    posting = report.offers.get(RESOURCE_TYPE, Capability())
    if posting.read:
        answer = await _get(report, http, f"/{RESOURCE_TYPE}/{NOBODY}", authorization, fine=(404, 410))
        if answer is not None and answer.ok:
            report.say(Level.BLOCKS, "finds-nobody", f"it answers a read of {NOBODY}, which there isn't, by something")
    if posting.search:
        query = {"identifier": f"{PAYMENT_SYSTEM}|{NOBODY}"}
        answer = await _get(report, http, f"/{RESOURCE_TYPE}", authorization, query=query)
        if answer is not None and answer.ok:
            _empty(report, answer)
    for kind in READ:
        if report.offers[kind].search and kind not in connection.poll_by:
            await _get(report, http, f"/{kind}", authorization, query={"_count": "1"}, matters=False)


def _empty(report: Report, answer: Response) -> None:
    try:
        doc = loads(answer.body)
    except MessageInvalid:
        report.say(Level.BLOCKS, "no-bundle", f"a search is answered by {what_it_is(answer)}, not by a Bundle")
        return
    entries = doc.get("entry", [])
    if doc.get("resourceType") != "Bundle" or not isinstance(entries, list):
        says = "a search is answered by what is no Bundle, with a status of success"
        report.say(Level.BLOCKS, "no-bundle", says)
    elif any(isinstance(one, dict) and _is_posting(one) for one in entries):
        says = "a search for an identifier that there isn't finds something: it may not know the parameter"
        report.say(Level.ASK, "search-matches-all", says)


def _is_posting(entry: dict[str, object]) -> bool:
    resource = entry.get("resource")
    return isinstance(resource, dict) and resource.get("resourceType") == RESOURCE_TYPE


async def _get(
    report: Report,
    http: HttpClient,
    path: str,
    authorization: str,
    *,
    query: dict[str, str] | None = None,
    fine: tuple[int, ...] = (),
    matters: bool = True,
) -> Response | None:
    """What was answered; None, with a finding, when nothing was. A 401 or 403 to what was offered is one too."""
    what = f"GET {path}" + (f"?{next(iter(query))}=…" if query else "")
    headers = {"accept": "application/json" if path == PATH else "application/fhir+json"}
    headers |= {"authorization": authorization} if authorization else {}
    level = Level.BLOCKS if matters else Level.ASK
    try:
        answer = await http.send("GET", path, headers=headers, params=query)
    except (NeverSent, Uncertain) as error:
        report.tried.append(Tried(what, 0, fine=False))
        report.say(level, "no-answer", f"{what}: {error.message}")
        return None
    except FhirpayError as error:  # an address where we may not go
        report.tried.append(Tried(what, 0, fine=False))
        report.say(Level.BLOCKS, "address", error.message)
        return None
    as_it_should = answer.status in fine if fine else answer.ok
    report.tried.append(Tried(what, answer.status, as_it_should))
    if path in (PATH, "/metadata") or as_it_should or (fine and answer.ok):
        return answer
    if answer.status == 401:
        says = "it doesn't accept our token" if authorization else "it wants a token"
        report.say(level, "token", f"{what} was answered by 401: {says}")
    else:
        report.say(level, "refused", f"{what} was answered by {answer.status}, though it is offered")
    return answer


def as_json(report: Report) -> dict[str, object]:
    """For programs."""
    statement, smart = report.statement, report.smart
    return {
        "url": report.url,
        "grade": report.grade,
        "fhir": statement
        and {
            "stated": statement.stated,
            "version": statement.version and statement.version.value,
            "software": statement.software,
            "formats": list(statement.formats),
            "security": list(statement.security),
        },
        "smart": smart
        and {
            "tokenEndpoint": smart.token_url,
            "algorithms": sorted(smart.algorithms),
            "scopes": "v2" if smart.v2 else "v1",
            "capabilities": sorted(smart.capabilities),
        },
        "launch": report.launch
        and {
            "authorizationEndpoint": report.launch.authorize_url,
            "issuer": report.launch.issuer,
            "capabilities": sorted(report.launch.capabilities),
        },
        "granted": report.granted and list(report.granted),
        "clockAheadSeconds": report.skew_s,
        "offers": {kind: [name for name in _ABILITIES if getattr(one, name)] for kind, one in report.offers.items()},
        "writeBack": [
            {"type": kind, "way": way.value, "means": WAYS[way]} for kind, ways in report.ways.items() for way in ways
        ],
        "tried": [{"what": one.what, "status": one.status, "fine": one.fine} for one in report.tried],
        "found": [{"level": one.level.value, "code": one.code, "says": one.says} for one in report.found],
    }


def as_text(report: Report) -> Iterator[str]:
    """For the person who sets the connection up."""
    statement, smart = report.statement, report.smart
    yield f"{report.url}: {report.grade}"
    if statement is not None:
        yield f"  FHIR {name_of(statement.stated)}{', ' + statement.software if statement.software else ''}"
    if smart is not None:
        yield f"  tokens at {smart.token_url}, scopes of {'v2' if smart.v2 else 'v1'}"
    if report.launch is not None:
        yield f"  people sign in at {report.launch.authorize_url}, vouched for by {report.launch.issuer}"
    if report.granted is not None:
        yield f"  granted: {' '.join(report.granted) or 'nothing'}"
    for kind, one in report.offers.items():
        can = [name for name in _ABILITIES[:3] if getattr(one, name)]
        yield f"  {kind}: {', '.join(can) or 'nothing'}"
    for kind, ways in report.ways.items():
        for place, way in enumerate(ways):
            yield f"  {kind} {'posted by' if place == 0 else 'else by'} {way.value}: {WAYS[way]}"
    for one in report.found:
        yield f"  {one.level.value}: {one.says} [{one.code}]"
