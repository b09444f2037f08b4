"""What we emit passes two validators that nobody here wrote, by HL7's definitions of R4 and of R5, and they refuse what
is made wrong of it (tests/npm/validate.mjs, mutants.py). fhir.resources is a third, and ours is held to all of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from emitted import Json, balanced_invoice, beside_it, defined, mapped, posted, served
from fhir.resources import get_fhir_model_class as model_of_r5
from fhir.resources.R4B import get_fhir_model_class as model_of_r4
from mutants import Mutant, mutants
from pydantic import ValidationError

from fhirpay.db.unit import Database, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.fhir.json import dumps, loads
from fhirpay.fhir.statement import FhirVersion
from fhirpay.fhir.validation import problems
from fhirpay.usecases.explain import explain_resource
from fhirpay.web.fhir_server.chain_parameters import parameters
from matrices import Cell
from node_running import Node, needs_npm, node
from payments_world import payments_world
from subscribers_world import by_topic, subscribers

pytestmark = needs_npm
CONTENTS = ("empty", "id-only", "full-resource")
STRANGERS = ("lantana", "medplum")
TYPES = (
    "Account Appointment Basic Bundle CapabilityStatement CareTeam ChargeItem CodeSystem Condition Coverage Encounter "
    "EpisodeOfCare Invoice MessageHeader OperationDefinition OperationOutcome Organization Parameters Patient "
    "PaymentNotice PaymentReconciliation Procedure Provenance RelatedPerson StructureDefinition Subscription ValueSet"
).split()

# What a validator says of what is sound: its own limit, by HL7's text.
WRONGLY_REFUSED = {
    # extensibility.html: an extension may say why a required value is missing, and `_endpoint` has one
    ("lantana", "MessageHeader.source.endpoint: Missing property"),
    ("lantana", "MessageHeader.destination.endpoint: Missing property"),
}
# What neither stranger refuses: way → why. Ours does.
TAKEN_BY_STRANGERS = {
    "an empty list": "json.html forbids it, and neither looks for it",
    "no such code": "of a Money's currency (ISO 4217) or a mime type: their codes stand in no package of HL7's. "
    "Lantana, which looks at codes, doesn't look into an ElementDefinition's slicing",
}
# Nobody gives us these: their codes are ours, and a stranger checks them.
OURS_ALONE = ("CapabilityStatement.", "OperationDefinition.", "OperationOutcome.", "StructureDefinition.")


@pytest.fixture(scope="module", params=["R4", "R5"])
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def strangers() -> Iterator[dict[str, Node]]:
    with node("validate.mjs", "R4", *TYPES) as r4, node("validate.mjs", "R5", *TYPES) as r5:
        yield {"R4": r4, "R5": r5}


def judged(node: Node, written: Sequence[str]) -> list[dict[str, list[str]]]:
    """What each of the two has against each resource."""
    found = node.tell("[" + ",".join(written) + "]")
    for one in found:
        for name in STRANGERS:
            one[name] = [says for says in one[name] if (name, re.sub(r"\[\d+\]", "", says)) not in WRONGLY_REFUSED]
    return found


def refused_by_library(version: str, resource: Any) -> bool:
    try:
        (model_of_r4 if version == "R4" else model_of_r5)(resource["resourceType"]).model_validate(resource)
    except (ValidationError, TypeError):  # it falls over an object where it expects a url
        return True
    return False


def all_sound(node: Node, resources: Sequence[Json]) -> None:
    said = [
        (one["resourceType"], *map(tuple, verdict.values()))
        for one, verdict in zip(resources, judged(node, [dumps(one) for one in resources]), strict=True)
        if any(verdict.values())
    ]
    assert said == []


def test_every_posting_in_every_state_is_sound(version: str, strangers: dict[str, Node]) -> None:
    all_sound(strangers[version], [*posted(version).values(), *beside_it(version), balanced_invoice()])


def test_all_that_hl7v2_becomes_is_sound(strangers: dict[str, Node]) -> None:
    assert {one["resourceType"] for one in mapped()} <= set(TYPES)
    all_sound(strangers["R4"], mapped())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # what it says has no engine
async def test_all_that_our_endpoint_answers_and_defines_is_sound(
    strangers: dict[str, Node], units: Units, version: str
) -> None:
    answers = await served(units, version)
    kinds = Counter(one["resourceType"] for one in answers)
    assert kinds["OperationOutcome"] >= 6
    assert {one.get("type") for one in answers if one["resourceType"] == "Bundle"} == {
        "history",
        "searchset",
        "transaction-response",
        "batch-response",
    }
    all_sound(strangers[version], [*answers, *defined(version)])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_chain_as_it_is_explained_is_sound(
    strangers: dict[str, Node], database: Database, clock: FrozenClock
) -> None:
    async with payments_world(database, clock) as world:
        account = await world.invoiced("ana", 80_00)
        await world.refund(await world.paid(account), 30_00)
        await world.until_quiet()
        chain = await world.units.read(explain_resource, account)
    shown = [parameters(chain, frozenset()), parameters(chain, frozenset({account}))]
    assert {"refund", "entry"} <= set(re.findall(r'"name":"(\w+)"', dumps(shown[0])))
    all_sound(strangers["R4"], shown)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_whoever_asked_is_told_is_sound(
    strangers: dict[str, Node], database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    async with subscribers(database, clock, ids) as world:
        header = ["Authorization: Bearer x"]
        more = [("heartbeat-period", 60), ("max-count", 2)]
        made = [await world.asks(by_topic(content, header=header, extension=more)) for content in CONTENTS]
        for number in (1, 2, 1):
            await world.pays(number, "cancelled" if number == 1 else "active")
            await world.work()
        await world.later(timedelta(minutes=2))
        told = [loads(one.request.content) for one in world.calls]
        assert {one.says.kind for one in world.calls} == {"handshake", "event-notification", "heartbeat"}
        paths = [f"Subscription/{made[0]}", "Subscription", "Subscription/$status"]
        paths += [f"Subscription/{made[0]}/$events?content={content}" for content in CONTENTS]
        answers = [loads((await world.fhir("GET", path)).content) for path in paths]
    all_sound(strangers["R4"], [*told, *answers])


def richest() -> list[Json]:
    """Of each type that we emit in R4, beside postings, the one with most in it."""
    by_type: dict[str, Json] = {}
    for one in [*mapped(), *defined()]:
        kind = one["resourceType"]
        if kind not in by_type or len(repr(one)) > len(repr(by_type[kind])):
            by_type[kind] = one
    return [short(one) for kind, one in by_type.items() if kind != "Bundle"]


def short(value: Any) -> Any:
    """The same with two of each list: what repeats is validated a thousand times for nothing."""
    if isinstance(value, dict):
        return {name: short(inner) for name, inner in value.items()}
    return [short(inner) for inner in value[:2]] if isinstance(value, list) else value


def test_what_is_made_wrong_is_refused(
    version: str, strangers: dict[str, Node], record_property: Callable[[str, Any], None]
) -> None:
    made = [mutant for one in (*posted(version).values(), *beside_it(version)) for mutant in mutants(version, one)]
    made = list({(mutant.way, mutant.where): mutant for mutant in made}.values())
    report(version, "postings", made, strangers[version], record_property)


def test_what_is_made_wrong_of_other_resources_is_refused(
    strangers: dict[str, Node], record_property: Callable[[str, Any], None]
) -> None:
    seen: set[tuple[str, str]] = set()
    made = [mutant for one in richest() for mutant in mutants("R4", one, seen)]
    report("R4", "the rest", made, strangers["R4"], record_property, library=False)


def report(
    version: str,
    what: str,
    made: Sequence[Mutant],
    node: Node,
    record_property: Callable[[str, Any], None],
    *,
    library: bool = True,
) -> None:
    """Each mutant is refused by a stranger, but for those that both are known to take, and each is refused by us. What
    fhir.resources makes of it (`library`) is told beside them."""
    all_, refused, taken, ours_takes = Counter[str](), Counter[tuple[str, str]](), [], []
    written = [dumps(mutant.resource) for mutant in made]
    for mutant, text, verdict in zip(made, written, judged(node, written), strict=True):
        against = {name: bool(verdict[name]) for name in STRANGERS}
        if library:
            against["fhir.resources"] = refused_by_library(version, mutant.resource)
        against["ours"] = bool(problems(loads(text), version=FhirVersion(version)))
        all_[mutant.way] += 1
        refused.update((mutant.way, name) for name, is_ in against.items() if is_)
        if not any(against[name] for name in STRANGERS) and not excused(mutant):
            taken.append((mutant.way, mutant.where, against))
        if not against["ours"] and not (mutant.way == "no such code" and mutant.where.startswith(OURS_ALONE)):
            ours_takes.append((mutant.way, mutant.where))
    for way, number in all_.items():
        names = (*STRANGERS, *["fhir.resources"] * library, "ours")
        by = " · ".join(f"{name} {refused[way, name]}" for name in names)
        Cell(record_property, "validators", row=way, column=f"{version}, {what}").says(f"{by} of {number}")
    assert taken == []
    assert ours_takes == []


def excused(mutant: Mutant) -> bool:
    if mutant.way == "no such code":
        return mutant.where.endswith((".currency", ".format", "Format", ".contentType")) or ".slicing." in mutant.where
    return mutant.way in TAKEN_BY_STRANGERS
