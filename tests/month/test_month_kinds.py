"""Each kind of break is planted into a month, or stands in a table with the reason why not and its test."""

from __future__ import annotations

import ast
import tomllib
from importlib import resources
from pathlib import Path

import month_planted
from month_elsewhere import ELSEWHERE, IN_EACH_MONTH
from month_plants import NOT_OPEN

TESTS = Path(__file__).parents[1]
KINDS = tomllib.loads((resources.files("fhirpay.reconciliation") / "kinds.toml").read_text(encoding="utf-8"))
PLANTED = {one.kind for one in month_planted.ALL} - {NOT_OPEN}


def test_each_kind_of_break_is_planted_or_says_why_not() -> None:
    breaks = {kind for kind, row in KINDS.items() if row.get("legs")}
    there = PLANTED | IN_EACH_MONTH.keys() | ELSEWHERE.keys()
    assert not breaks - there, "neither planted nor in month_elsewhere.py"
    assert not there - KINDS.keys(), "no such kind"


def test_what_is_witnessed_elsewhere_is() -> None:
    for kind, (why, test) in ELSEWHERE.items():
        path, _, name = test.partition("::")
        module = ast.parse((TESTS / path).read_text(encoding="utf-8"))
        tests = {one.name for one in ast.walk(module) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert why, kind
        assert name in tests if name else any(one.startswith("test_") for one in tests), f"{kind}: there is no {test}"
