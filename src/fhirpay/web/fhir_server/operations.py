"""FHIR operations (`$name`) as routes, and how their parameters are read (FHIR R4, operations.html). The operations
themselves are handed in (`Deps.operations`); pay_operations.py has them.

To add one: an `Operation` there, its OperationDefinition in conformance/, its line in the CapabilityStatement.
An operation reads the resource that it is about, so that takes the scope `r`; whatever else it needs it says itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi import Request

from ...db.unit import Tx
from ...errors import MessageInvalid, RequiredMissing
from ...fhir import conditional
from ...fhir.conditional import criteria
from ...fhir.json import loads
from ...fhir.outcome import ResourceInvalid
from ...fhir.search_values import SearchUnsupported, parameter
from ...fhir.store import Stored
from ...fhir.validation import problems
from .access import Access

IDENTIFIER = "identifier"  # the parameter by which the type's level names its resource: system|value
# How the value of a parameter is called in Parameters, by its type.
_VALUE = {"string": "valueString", "url": "valueUrl"}


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked for, of a resource that the caller may read. `at` says where each input stood."""

    access: Access
    about: Stored
    inputs: Mapping[str, str]
    at: Mapping[str, str]


class Operation(Protocol):
    """`inputs` are its parameters with their types, beside `identifier`; `affects_state`: it is asked by POST alone."""

    @property
    def types(self) -> tuple[str, ...]: ...
    @property
    def affects_state(self) -> bool: ...
    @property
    def inputs(self) -> Mapping[str, str]: ...

    async def run(self, call: Call) -> dict[str, Any]:
        """The Parameters that are answered."""
        ...


@dataclass(frozen=True, slots=True)
class Inputs:
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    at: Mapping[str, str] = field(default_factory=dict[str, str])


def inputs_of(operation: Operation, request: Request, body: bytes, *, of_type: bool) -> Inputs:
    """Raises SearchUnsupported for a parameter that it hasn't, MessageInvalid for one that can't be read."""
    known = {**operation.inputs, **({IDENTIFIER: "string"} if of_type else {})}
    stated = [(name, value) for name, value in request.query_params.multi_items() if name != "_format"]
    if request.method == "POST" and stated:
        shown, location = parameter(stated[0][0])
        raise SearchUnsupported(f"send {shown} in the body, as Parameters", location=location)
    found = _of_query(known, stated) if request.method == "GET" else _of_body(known, body)
    if of_type and IDENTIFIER not in found.values:
        raise RequiredMissing("say which by identifier=system|value, or ask at its own address", location="Parameters")
    return found


def _of_query(known: Mapping[str, str], stated: list[tuple[str, str]]) -> Inputs:
    values, at = dict[str, str](), dict[str, str]()
    for name, value in stated:
        shown, location = parameter(name)
        if name not in known:
            raise SearchUnsupported(f"this operation has no parameter {shown}", location=location)
        if name in values:
            raise MessageInvalid("stated twice", location=location)
        values[name], at[name] = value, location
    return Inputs(values, at)


def _of_body(known: Mapping[str, str], body: bytes) -> Inputs:
    if not body.strip():
        return Inputs()
    resource = loads(body)
    if resource.get("resourceType") != "Parameters":
        raise MessageInvalid("Parameters are expected here", location="Parameters.resourceType")
    if wrong := problems(resource, at="Parameters"):
        raise wrong[0] if len(wrong) == 1 else ResourceInvalid(wrong)
    values, at = dict[str, str](), dict[str, str]()
    for index, one in enumerate(resource.get("parameter", ())):
        place = f"Parameters.parameter[{index}]"
        name = one.get("name", "")  # it may be there in an extension alone
        if name not in known:
            raise SearchUnsupported("this operation has no such parameter", location=f"{place}.name")
        if name in values:
            raise MessageInvalid("stated twice", location=f"{place}.name")
        key = _VALUE[known[name]]
        if key not in one:
            raise MessageInvalid(f"{name} has a {key}", location=place)
        values[name], at[name] = one[key], f"{place}.{key}"
    return Inputs(values, at)


def named(tx: Tx, resource_type: str, inputs: Inputs, base_url: str) -> Stored | None:
    """The one resource with the identifier that the inputs name. Raises PreconditionFailed when several have it."""
    where = inputs.at[IDENTIFIER]
    return conditional.match(
        tx, criteria(resource_type, [(IDENTIFIER, inputs.values[IDENTIFIER])], at=where, base_url=base_url), at=where
    )
