"""What is agreed about fees, as it is written; and what is refused of it, in words that say what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhirpay import config
from fhirpay.errors import ConfigInvalid
from fhirpay.reconciliation.fee_terms import Rate, terms_of

MERCHANT = """
[[tenants]]
name = "main"
[[tenants.facilities]]
name = "main"
merchant = "card"
[[tenants.merchants]]
name = "card"
processor = "simulated"
secret_key = "sk"
[[tenants.merchants.fees]]
"""
CARD = 'card = [{percent = "2.9", fixed = "0.30"}, {percent = "4.4", fixed = "0.30"}]\n'


def loaded(folder: Path, fees: str) -> config.Merchant:
    path = folder / "fhirpay.toml"
    path.write_text(MERCHANT + fees, encoding="utf-8")
    return config.load(path).tenants[0].merchant("card")


def test_terms_count_from_their_day_until_the_next_ones(tmp_path: Path) -> None:
    written = CARD + 'ach = [{percent = "0.8", cap = "5.00"}]\ndispute = "15.00"\n'
    written += f"[[tenants.merchants.fees]]\nsince = 2026-03-01\n{CARD}tolerance = 0\n"
    later, first = terms_of([loaded(tmp_path, written)])
    assert (first.first, first.last, later.first, later.last) == ("", "2026-02-28", "2026-03-01", "9999-12-31")
    assert first.rates["card"] == (Rate(29_000, 30, 0, None), Rate(44_000, 30, 0, None))
    assert first.rates["ach"] == (Rate(8_000, 0, 0, 500),)
    assert (first.dispute, later.dispute, later.tolerance) == (1500, None, 0)
    assert not first.rates["card_present"]


@pytest.mark.parametrize(
    ("fees", "says"),
    [
        ('card = [{percent = "2,9"}]', "'2,9' is not a percentage, such as 2.9"),
        ('card = [{percent = "2.90001"}]', r"percent = '2.90001': write it up to 100, with four decimals at most"),
        ('card = [{percent = "101"}]', "percent = '101': write it up to 100"),
        ('card = [{percent = "2.9", fixed = "-0.30"}]', "'-0.30' is not an amount, such as 0.30"),
        ("card = [{}]", "a rate says what is taken: set percent, fixed or minimum"),
        ('ach = [{percent = "1", minimum = "1.00", cap = "0.50"}]', "cap = '0.50' is below minimum = '1.00'"),
        ('dispute = "15.00"', "nothing is compared by fees without a rate: set card, card_present or ach"),
        (CARD + 'dispute = "a lot"', "'a lot' is not the amount of dispute, such as 15.00"),
        (CARD + f"[[tenants.merchants.fees]]\n{CARD}", "merchant 'card' has two fees without since: which one"),
        (CARD + 'cards = "2.9"', "cards: Extra inputs are not permitted"),
    ],
)
def test_what_can_not_have_been_agreed_is_refused(tmp_path: Path, fees: str, says: str) -> None:
    with pytest.raises(ConfigInvalid, match=says):
        loaded(tmp_path, fees)


def test_an_amount_has_no_more_decimals_than_its_currency(tmp_path: Path) -> None:
    (kuwait,) = terms_of([loaded(tmp_path, 'currency = "KWD"\ncard = [{percent = "2.5", fixed = "0.125"}]')])
    assert kuwait.rates["card"] == (Rate(25_000, 125, 0, None),)
    japan = loaded(tmp_path, 'currency = "JPY"\ncard = [{percent = "3.6", fixed = "0.5"}]')
    with pytest.raises(ConfigInvalid, match=r"fees of merchant 'card': 0.5 has more decimals than JPY allows"):
        terms_of([japan])
