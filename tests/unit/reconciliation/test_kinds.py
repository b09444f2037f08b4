"""Every kind that is opened anywhere has its row, and every command that a row names can be typed as it stands."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import fhirpay
from fhirpay.cli.main import app
from fhirpay.domain.dispute import AnomalyKind as DisputeAnomaly
from fhirpay.domain.payment import AnomalyKind
from fhirpay.reconciliation.kinds import KINDS, Kind, kind

SOURCE = Path(fhirpay.__file__).parent
# the function that opens a line → which argument is the kind
OPENS = {"open_item": None, "open_break": 2, "Note": 0}
HELPERS = {"note", "_told", "_open", "tell", "tried"}  # hand it on; others have these names too
# Where a kind is handed on by one of the above, whose own callers are looked at.
HANDED_ON = {"kind", "note.kind", "anomaly.kind", "one.kind"}


def _opened() -> Iterator[tuple[str, str]]:
    """(where, the kind that is opened there): as it is written, or what its name stands for."""
    for path in SOURCE.rglob("*.py"):
        module = ".".join(("fhirpay", *path.relative_to(SOURCE).with_suffix("").parts))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(getattr(node, "func", None), "attr", getattr(getattr(node, "func", None), "id", ""))
            if not isinstance(node, ast.Call) or name not in {*OPENS, *HELPERS}:
                continue
            named = next((one.value for one in node.keywords if one.arg == "kind"), None)
            if name in HELPERS:
                opened = named or next((one for one in node.args[:2] if _is_kind(one)), None)
            else:
                place = OPENS[name]
                opened = named or (node.args[place] if place is not None and len(node.args) > place else None)
            if opened is None:
                continue
            if isinstance(opened, ast.Constant):
                yield module, str(opened.value)
            elif (written := ast.unparse(opened)) not in HANDED_ON:
                value = importlib.import_module(module)
                for part in written.split("."):
                    value = getattr(value, part)
                yield module, str(value)


def _is_kind(node: ast.expr) -> bool:
    """What is written as a kind is."""
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return is_text or (isinstance(node, ast.Name) and node.id.isupper())


def test_every_kind_that_is_opened_has_its_row() -> None:
    opened = {*_opened(), *(("domain", str(one)) for one in (*AnomalyKind, *DisputeAnomaly))}
    assert {"late_success", "settlement_unmatched", "bank_ambiguous", "purged_open"} <= {name for _, name in opened}
    assert {one for one in opened if one[1] not in KINDS} == set()


@pytest.mark.parametrize("row", KINDS.values(), ids=lambda row: row.name)
def test_its_command_can_be_typed(row: Kind) -> None:
    command = row.command_for({"line": "one:two", "subject": "s", "account": "Account/a", "merchant": "m"})
    for words in (command, *re.findall(r"`fhirpay ([^`]*)`", row.next)):
        _typed(shlex.split(words.removeprefix("fhirpay ")), whole=words == command)


def _typed(words: list[str], *, whole: bool) -> None:
    """Parsed as the command line would, and not run; of words in a sentence, that each is a command or an option."""
    at: Any = get_command(app)
    while words and words[0] in getattr(at, "commands", {}):
        at, words = at.commands[words[0]], words[1:]
    assert getattr(at, "invoke_without_command", True), at.name  # else it is a group, and does nothing by itself
    if whole:
        at.make_context("fhirpay", list(words))  # raises where it can't be typed
    else:
        known = {option for parameter in at.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_ids_are_quoted_and_what_is_missing_is_named() -> None:
    row = kind("bank_line_of_nobody")
    assert row.command_for({"subject": "urn:a|b c"}).startswith("fhirpay bank match 'urn:a|b c' --payout PAYOUT ")
    assert row.command_for({}).startswith("fhirpay bank match SUBJECT ")
