"""What is wrong with a resource; and that we know no less than the library that knows the elements."""

from __future__ import annotations

import random
import re
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhirpay.domain import fhir_urls
from fhirpay.errors import CodeInvalid, FhirpayError, LaunchRefused, RequiredMissing, RuleBroken
from fhirpay.fhir.bindings import REQUIRED, REQUIRED_R5
from fhirpay.fhir.crossversion import TYPES as TYPES_OF_BOTH
from fhirpay.fhir.json import loads
from fhirpay.fhir.models import is_resource_type, model_of, references, structure_of
from fhirpay.fhir.outcome import ResourceInvalid, operation_outcome, status_of
from fhirpay.fhir.params import TYPES
from fhirpay.fhir.primitives import fault
from fhirpay.fhir.statement import FhirVersion
from fhirpay.fhir.validation import PROBLEMS_MAX, problems, validate

SAMPLES = Path(__file__).parents[2] / "samples" / "fhir"
SOUND = {
    path.stem: loads(path.read_bytes()) for path in sorted(SAMPLES.glob("*.json")) if not path.stem.startswith("v2")
}


@pytest.mark.parametrize("name", SOUND)
def test_published_examples_are_sound(name: str) -> None:
    validate(SOUND[name])


def test_one_problem_is_raised_as_itself_and_several_together() -> None:
    with pytest.raises(CodeInvalid) as one:
        validate(SOUND["r4-ChargeItem-example"] | {"status": "paid"})
    assert one.value.location == "ChargeItem.status"
    with pytest.raises(ResourceInvalid, match=r"\(and 1 more\)") as two:
        validate(SOUND["r4-ChargeItem-example"] | {"status": "paid", "code": {}})
    assert [(type(p).__name__, p.location) for p in two.value.problems] == [
        ("CodeInvalid", "ChargeItem.status"),
        ("MessageInvalid", "ChargeItem.code"),
    ]


def test_an_outcome_has_an_issue_for_each() -> None:
    broken = RuleBroken("too much", location="Invoice.totalNet")
    missing = RequiredMissing("a name", location="Patient.name[0].family")
    outcome = operation_outcome(ResourceInvalid([missing, broken]), warnings=[("http.shoe", "left out")])
    assert outcome["issue"] == [
        {
            "severity": "error",
            "code": "required",
            "details": {"text": "a name"},
            "expression": ["Patient.name[0].family"],
            "diagnostics": "required-missing",
        },
        {
            "severity": "error",
            "code": "business-rule",
            "details": {"text": "too much"},
            "expression": ["Invoice.totalNet"],
            "diagnostics": "rule-broken",
        },
        {
            "severity": "warning",
            "code": "informational",
            "details": {"text": "left out"},
            "location": ["http.shoe"],
        },
    ]
    assert problems(outcome) == []
    assert (status_of(ResourceInvalid([missing, broken])), status_of(broken)) == (400, 422)


def subclasses(of: type[FhirpayError]) -> set[type[FhirpayError]]:
    return {of, *(one for sub in of.__subclasses__() for one in subclasses(sub))}


def test_every_error_of_ours_is_a_sound_outcome() -> None:
    # Those of the tree itself: a room's own error may need more than a message, and answers as its parent does.
    for error in {one for one in subclasses(FhirpayError) if one.__module__ == FhirpayError.__module__}:
        more = {"reason": "x"} if error is LaunchRefused else {}
        assert problems(operation_outcome(error("x", location="Patient", **more))) == [], error
        assert re.fullmatch(r"[a-z-]+", error.issue_code)


def test_problems_name_no_value_of_a_patient() -> None:
    person = {"resourceType": "Patient", "birthDate": "19610512", "name": [{"family": "", "use": "Nickname of Jo"}]}
    says = " ".join(str(problem) for problem in problems(person | {"gender": "F", "Smith": "x y"}))
    assert "'F' is not one of" in says
    for secret in ("19610512", "Nickname"):
        assert secret not in says


def test_a_hostile_body_gets_a_bounded_answer() -> None:
    assert len(problems({"resourceType": "Patient", **{f"x{i}": 1 for i in range(5000)}})) == PROBLEMS_MAX


@pytest.mark.parametrize("body", [{}, {"resourceType": 1}, {"resourceType": "HumanName"}, {"resourceType": "patient"}])
def test_what_is_no_resource_says_so(body: dict[str, Any]) -> None:
    assert [p.location and p.location.endswith(".resourceType") for p in problems(body)] == [True]


def test_references_come_with_their_paths_and_targets() -> None:
    found = {path: targets for path, _, targets in references(SOUND["r4-ChargeItem-example"])}
    assert found["account"] == {"Account"}
    assert found["subject"] == {"Patient", "Group"}
    assert "Practitioner" in found["performer.actor"]


PRIMITIVES = [
    ("date", "2026 2026-11 2026-11-20 0001-01-01", "26 2026-13 2026-11-31 2026-1-1 20261120 2026-11-20T10:00:00Z"),
    (
        "dateTime",
        "2026 2026-11-20 2026-11-20T10:00:00Z 2026-11-20T10:00:00.123456-05:00 2016-12-31T23:59:60Z",
        "2026-11-20T10:00Z 2026-11-20T10:00:00 2026-11-20T24:00:00Z 2026-02-29T10:00:00Z now",
    ),
    ("instant", "2026-11-20T10:00:00Z", "2026-11-20 2026-11-20T10:00:00"),
    ("time", "10:00:00 23:59:60.5", "10:00 24:00:00"),
    ("id", "a A-1.b " + "x" * 64, "a_b ä " + "x" * 65),
    ("code", "a a-b", ""),
    ("uri", "urn:x http://x/y ISO", ""),
    ("oid", "urn:oid:1.2.3", "1.2.3 urn:oid:3.1"),
    ("uuid", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "c757873d-ec9a-4326-a141-556f43239520"),
    ("integer64", "0 -5 9223372036854775807 -9223372036854775808", "x 1.0 01 9223372036854775808"),
    ("base64Binary", "QUJD QUI= QQ==", "* Q=Q"),
]


@pytest.mark.parametrize(("kind", "good", "bad"), PRIMITIVES)
def test_formats(kind: str, good: str, bad: str) -> None:
    assert [text for text in good.split() if fault(kind, text)] == []
    assert [text for text in bad.split() if not fault(kind, text)] == []
    assert fault(kind, 1)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("boolean", [True, False], [1, 0, "true", None]),
        ("integer", [0, -5, 2**31 - 1], [True, 2**31, Decimal("1.0"), "1"]),
        ("positiveInt", [1], [0, -1]),
        ("unsignedInt", [0], [-1]),
        ("decimal", [1, Decimal("1.50")], [True, "1", None]),
        ("string", ["x", " x\n"], ["", "  ", "\x01", 1, "x" * 1_048_577]),
        ("code", ["in progress"], [" a", "a  b", "a\n"]),
        ("xhtml", ["<div>x</div>"], ["<p>x</p>", "x"]),
    ],
)
def test_values(kind: str, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if fault(kind, value)] == []
    assert [value for value in bad if not fault(kind, value)] == []


POSTED = ("PaymentReconciliation", "PaymentNotice", "Provenance")
# version → its bindings, and the resources that are ours in it
BOUND = {
    FhirVersion.R4: (
        REQUIRED,
        (*TYPES, *POSTED, "Bundle", "CareTeam", "EpisodeOfCare", "Procedure"),
    ),
    FhirVersion.R5: (REQUIRED_R5, (*TYPES_OF_BOTH, *POSTED, "Bundle")),
}


def reachable(version: FhirVersion) -> set[str]:
    """Every data type, backbone element and resource of ours that a check can come to, by its path."""
    from fhirpay.fhir import models

    seen: dict[str, Any] = {}
    waiting = [(kind, structure_of(kind, version)) for kind in BOUND[version][1]]
    while waiting:
        kind, structure = waiting.pop()
        assert structure is not None
        if kind not in seen:
            seen[kind] = structure
            waiting += [
                (element.kind, models.elements_of(element.model, element.kind))
                for element in structure.values()
                if element.model is not None and element.kind not in ("Resource", "ResourceList")
            ]
    return {f"{kind}.{name}" for kind, structure in seen.items() for name in structure}


def listed(path: str, version: FhirVersion) -> set[str] | None:
    """The codes that the library lists for an element."""
    kind, _, name = path.rpartition(".")
    model: Any = model_of(kind.split(".")[0], version)
    for step in kind.split(".")[1:]:
        inner = structure_of_model(model, step)
        model = inner
    about = model.model_fields[name].json_schema_extra or {}
    return set(about["enum_values"]) if "enum_values" in about else None


def structure_of_model(model: Any, step: str) -> Any:
    from fhirpay.fhir import models

    return models.elements_of(model, model.__name__)[step].model


@pytest.mark.parametrize("version", BOUND)
def test_bindings_are_those_of_the_standard(version: FhirVersion) -> None:
    paths = reachable(version)
    for path, codes in BOUND[version][0].items():
        assert path in paths, path
        known = listed(path, version)
        if known is not None and "+" not in known:
            assert codes == known, path


@pytest.mark.parametrize("version", BOUND)
def test_no_binding_is_missing(version: FhirVersion) -> None:
    # Named without a required binding, or from another list: mime types, languages, expression languages.
    unbound = {"Expression.language"}
    for path in reachable(version):
        assert path in BOUND[version][0] or path in unbound or not _lists_codes(path, version), path


def _lists_codes(path: str, version: FhirVersion) -> bool:
    try:
        return listed(path, version) is not None
    except KeyError:
        return False


# and one of our own, in R5
OF_R5 = loads((SAMPLES.parents[1] / "golden" / "writeback" / "b-split-with-rest-r5.json").read_bytes())
EXAMPLES = {name: (resource, FhirVersion.R4) for name, resource in SOUND.items()} | {"R5": (OF_R5, FhirVersion.R5)}


def test_codes_are_those_of_the_version() -> None:
    sufficient = {"extension": [{"url": "urn:x", "valueQuantity": {"value": 1, "comparator": "ad"}}]}  # of R5 alone
    assert problems(OF_R5 | sufficient, version=FhirVersion.R5) == []
    (found,) = problems(SOUND["r4-PaymentReconciliation-ER2500"] | sufficient)
    assert isinstance(found, CodeInvalid)


def library_refuses(resource: dict[str, Any], version: FhirVersion) -> bool:
    try:
        model = model_of(resource["resourceType"], version)
        assert model is not None
        model.model_validate(resource)
    except (ValueError, KeyError, TypeError):  # pydantic's ValidationError is a ValueError
        return True
    return False


JUNK = [None, True, 0, -1, "", " ", "x", "2026-13-01", [], {}, [None], [{}], {"x": 1}, Decimal("1.5"), "a b", ["x"]]


@pytest.mark.parametrize("name", EXAMPLES)
@settings(max_examples=400)
@given(seed=st.integers(0, 10**9))
def test_what_the_library_refuses_we_refuse(name: str, seed: int) -> None:
    """One thing at a time is broken, anywhere in a published example."""
    chance = random.Random(seed)
    sound, version = EXAMPLES[name]
    resource = deepcopy(sound)
    here: Any = resource
    while True:
        key: Any = chance.choice(list(here) if isinstance(here, dict) else range(len(here)))
        if not isinstance(here[key], dict | list) or not here[key] or chance.random() < 0.2:
            break
        here = here[key]
    if key == "resourceType":
        return
    match chance.randrange(3):
        case 0:
            here[key] = chance.choice(JUNK)
        case 1:
            del here[key]
        case _ if isinstance(here, dict):
            here[chance.choice(["surprise", "contained", "extension", "_id"])] = chance.choice(JUNK)
    found = problems(resource, version=version)  # never a bug, whatever is in it
    assert found or not library_refuses(resource, version)


def test_our_extensions_may_stand_where_they_are_said_to() -> None:
    account = {
        "resourceType": "Account",
        "status": "active",
        "extension": [
            {"url": fhir_urls.SELF_PAY, "valueBoolean": True},
            {
                "url": fhir_urls.COPAY_DUE,
                "extension": [{"url": "amount", "valueMoney": {"value": 25, "currency": "USD"}}],
            },
        ],
    }
    assert problems(account) == []
    account["extension"][1]["extension"][0]["valueMoney"]["currency"] = "XXX"
    place = "Account.extension[1].extension[0].valueMoney.currency"
    assert [problem.location for problem in problems(account)] == [place]


def test_is_resource_type() -> None:
    assert is_resource_type("Claim")
    assert not is_resource_type("Money")
    assert not is_resource_type("../x")


def test_what_is_contained_may_name_what_stands_beside_it_and_nothing_else() -> None:
    reason = {"resourceType": "Condition", "id": "reason", "subject": {"display": "Ana"}}
    episode = {"resourceType": "EpisodeOfCare", "id": "episode", "status": "active", "patient": {"display": "Ana"}}
    episode["diagnosis"] = [{"condition": {"reference": "#reason"}}]
    visit = {"resourceType": "Encounter", "status": "planned", "class": {"code": "AMB"}}
    visit["episodeOfCare"] = [{"reference": "#episode"}]
    validate({**visit, "contained": [reason, episode]})
    (found,) = problems({**visit, "contained": [episode]})
    assert found.location == "Encounter.contained[0].diagnosis[0].condition.reference"
