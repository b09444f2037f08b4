"""What the configuration refuses at start, in words that say what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhirpay import config
from fhirpay.errors import ConfigInvalid
from fhirpay.payments.adapters.simulated import SimulatedProcessor
from fhirpay.payments.registry import build

MERCHANT = """
lease_s = {lease_s}
[[tenants]]
name = "main"
[[tenants.facilities]]
name = "main"
merchant = "card"
[[tenants.merchants]]
name = "card"
processor = "simulated"
base_url = "https://processor.example"
secret_key = "sk"
timeout_s = {timeout_s}
descriptor = "{descriptor}"
"""


def loaded(path: Path, *, lease_s: float = 60, timeout_s: float = 10, descriptor: str = "") -> config.Settings:
    path.write_text(MERCHANT.format(lease_s=lease_s, timeout_s=timeout_s, descriptor=descriptor), encoding="utf-8")
    return config.load(path)


def test_a_lease_that_a_slow_call_could_outlast_is_refused(tmp_path: Path) -> None:
    assert loaded(tmp_path / "a.toml", lease_s=41).lease_s == 41
    with pytest.raises(ConfigInvalid, match="lease_s must be over four times the timeout_s of 'card': above 40"):
        loaded(tmp_path / "b.toml", lease_s=40)


@pytest.mark.parametrize("name", ["A name that is longer than 22", "MÜLLER", "semi;colon"])
def test_a_descriptor_that_a_statement_can_not_show_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigInvalid, match="descriptor"):
        loaded(tmp_path / "a.toml", descriptor=name)


async def test_a_merchants_own_time_limit_is_kept(tmp_path: Path) -> None:
    registry = build(loaded(tmp_path / "a.toml", timeout_s=7).tenants[0])
    processor = registry.of("card")
    assert isinstance(processor, SimulatedProcessor)
    assert processor._http.timeout_s == 7
    await registry.aclose()
