"""One vocabulary of declines: whole, fit to be read out, and where every adapter's mapping leads to."""

from __future__ import annotations

import ast
import importlib
import importlib.resources
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirpay.payments import adapters, declines, registry
from fhirpay.payments.declines import NETWORK, NETWORK_STOPS, TABLE, Advice, DeclineCode, as_it_came, code_of, find
from fhirpay.payments.port import Declined

MODULES = [name for _, name, _ in pkgutil.iter_modules(adapters.__path__)]


def loaded(name: str) -> Any:
    return importlib.import_module(f"{adapters.__name__}.{name}")


def mappings(module: Any) -> dict[str, Mapping[Any, Any]]:
    """Those tables of an adapter that lead to one of our codes."""
    found = {name: value for name, value in vars(module).items() if isinstance(value, Mapping)}
    return {name: of for name, of in found.items() if any(isinstance(one, DeclineCode) for one in of.values())}


def test_each_code_has_a_row_and_each_advice_is_given() -> None:
    assert set(TABLE) == set(DeclineCode)
    assert {row.advice for row in TABLE.values()} == set(Advice)
    assert all(code is row.code for code, row in TABLE.items())


@pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: row.code)
def test_a_row_is_fit_to_be_read_out(row: declines.Decline) -> None:
    for sentence in (row.desk, row.patient):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        said = sentence.lower()
        assert not any(word in said for word in ("fraud", "stolen", "lost", "suspect", "pick up", "risk", "blacklist"))
    if row.code is not DeclineCode.INSUFFICIENT_FUNDS:
        assert "fund" not in row.desk.replace("refund", "")
    assert not any(
        word in row.patient for word in ("fund", "limit", "closed", "PIN", "expired", "currency", "processor")
    )
    assert row.hard or not row.ends  # what is never kept is never tried again


def test_each_processor_of_the_registry_maps_its_declines() -> None:
    for processor in registry._MAKES:
        theirs = [name for name in MODULES if name == processor or name.startswith(f"{processor}_")]
        assert theirs, f"{processor} has no module in adapters/"
        assert any("DECLINES" in mappings(loaded(name)) for name in theirs), f"{processor} has no DECLINES"


@pytest.mark.parametrize("name", MODULES)
def test_each_mapping_of_an_adapter_leads_into_the_table(name: str) -> None:
    for table, codes in mappings(loaded(name)).items():
        for said, code in codes.items():
            assert isinstance(code, DeclineCode), f"{name}.{table}[{said!r}]"
            assert Declined.of(said, codes).meaning is TABLE[code]


@pytest.mark.parametrize("name", MODULES)
def test_an_adapter_has_no_code_or_sentence_of_its_own_for_a_decline(name: str) -> None:
    """`Declined("…")` with a literal, or `DeclineCode(what came)`, would be a word outside the table."""
    source = importlib.resources.files(adapters).joinpath(f"{name}.py").read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "DeclineCode", f"{name}:{node.lineno}"
            if node.func.id == "Declined":
                literal = [one for one in node.args if isinstance(one, ast.Constant | ast.JoinedStr)]
                assert not literal, f"{name}:{node.lineno}"


@given(st.text(max_size=80), st.booleans())
def test_whatever_a_processor_says_is_one_of_our_codes(said: str, stop: bool) -> None:
    for codes in (NETWORK, *(of for name in MODULES for of in mappings(loaded(name)).values())):
        found = Declined.of(said, codes, stop=stop)
        assert found.code in TABLE
        assert found.meaning.ends or not stop
        if said not in codes and not stop:
            assert found.code is DeclineCode.DECLINED


def test_advice_to_stop_ends_a_soft_decline_and_keeps_why_a_method_ended() -> None:
    assert code_of("51", NETWORK) is DeclineCode.INSUFFICIENT_FUNDS
    assert code_of("51", NETWORK, stop=True) is DeclineCode.DO_NOT_RETRY
    assert code_of("54", NETWORK, stop=True) is DeclineCode.METHOD_EXPIRED
    assert {"03", "21"} == NETWORK_STOPS


@pytest.mark.parametrize("said", ["a_code_of_tomorrow", "05 : Do not honor", "2:Declined", "R01", "CARD_EXPIRED"])
def test_a_code_is_kept_as_it_came(said: str) -> None:
    assert Declined.of(said, {}) == Declined(DeclineCode.DECLINED, None, said)


def test_the_table_is_documented_as_it_is() -> None:
    documented = (Path(__file__).parents[3] / "docs" / "payments.md").read_text(encoding="utf-8")
    for row in TABLE.values():
        hard = ("yes" if row.hard else "no") + (", the stored method is given up" if row.ends else "")
        assert f"| `{row.code}` | {hard} | `{row.advice}` | {row.desk} |" in documented


@pytest.mark.parametrize(
    "said", ["", "4111111111111111", "4111 1111 1111 1111", "x" * 61, "Ann Doe\nborn", "née", "123456789"]
)
def test_what_is_no_code_is_not_kept(said: str) -> None:
    assert as_it_came(said) == ""


def test_what_ended_otherwise_is_no_decline() -> None:
    assert find("do_not_retry") is TABLE[DeclineCode.DO_NOT_RETRY]
    assert find("canceled") is find("") is find("payer-must-confirm") is None
