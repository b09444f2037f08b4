"""Each of Inferno's tests has its twin here, or it is said why we don't play that role; and its mutant still fits.

That the twins fail on their mutants is shown by `make mutants`.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from twins import ROOT, Twin, twins

# Of the SMART App Launch test kit (9a219bde) and, for bulk, revocation and restricted scopes, of the (g)(10) kit.
NAMES = """
    well-known endpoint available
    well-known contains required fields
    launch received
    redirect received with code
    token exchange succeeds
    token exchange fails with invalid code
    token exchange fails with wrong code_verifier
    token response body complete
    token response headers: Cache-Control no-store, Pragma no-cache
    token refresh without scope
    token refresh with scope
    id token decodes
    id token header
    id token payload
    id token signature
    fhirUser claim retrievable
    backend fails on invalid grant_type
    backend fails on invalid client_assertion_type
    backend fails on invalid JWT
    backend succeeds
    backend response body complete
    introspection of active token
    introspection of invalid token
    TLS
    CORS: well-known endpoint
    CORS: metadata
    CORS: token endpoint
    CORS: fhirUser
    scopes v1
    scopes v2
    granular scopes restrict access
    access fails after revocation
    bulk export refused without authorization
    bulk export answers 202 and Content-Location
    bulk status polled
    bulk export cancelled, then 404
    bulk _since
    bulk _outputFormat
    client registration
    client authorization request
    client token request: public
    client token request: symmetric
    client token request: asymmetric
    client token request: backend
    client token use
"""
ROLES = ("client", "authorization server", "resource server", "bulk client", "bulk server")
PLAYED = [one for one in twins() if one.test]


@cache
def functions(path: Path) -> frozenset[str]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(one.name for one in nodes if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))


def test_each_name_of_the_kits_has_a_twin_or_a_reason() -> None:
    assert list(dict.fromkeys(one.name for one in twins())) == [name.strip() for name in NAMES.strip().splitlines()]


def test_what_is_not_played_says_why_and_what_is_played_does_not() -> None:
    assert all(one.role in ROLES for one in twins())
    assert [one.name for one in twins() if bool(one.why) == bool(one.test)] == []
    assert {one.role for one in PLAYED} == {"client", "authorization server", "resource server", "bulk client"}


@pytest.mark.parametrize("twin", PLAYED, ids=[f"{one.name}, {one.file}" for one in PLAYED])
def test_a_twin_exists_and_its_mutant_stands_where_it_says(twin: Twin) -> None:
    path, _, function = twin.test.partition("::")
    assert function.startswith("test_")
    assert function in functions(ROOT / "tests" / path)
    mutant = twin.mutated(ROOT / "src")
    assert ast.dump(ast.parse(mutant)) != ast.dump(ast.parse((ROOT / "src" / "fhirpay" / twin.file).read_text()))


def test_no_mutant_is_there_twice() -> None:
    planted = [(one.test, one.file, one.find, one.replace) for one in PLAYED]
    assert len(set(planted)) == len(planted)
