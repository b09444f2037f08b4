"""Which adapter serves which merchant."""

from __future__ import annotations

import pytest

from fhirpay.config import Facility, Merchant, Tenant
from fhirpay.errors import ConfigInvalid, NotFound
from fhirpay.payments.registry import Registry, build


def tenant(base_url: str) -> Tenant:
    merchant = Merchant(
        name="main", processor="simulated", base_url=base_url, secret_key="sk_test", private_network=True
    )
    return Tenant(name="main", facilities=(Facility(name="main"),), merchants=(merchant,))


async def test_the_configured_adapter_is_found_by_merchant_and_by_webhook() -> None:
    made = build(tenant("http://127.0.0.1:8090"))
    assert made.of("main").name == "simulated"
    assert made.hosted("main") is made.vault("main") is made.for_webhook("simulated", "main")
    for processor, merchant in (("simulated", "other"), ("stripe", "main")):
        with pytest.raises(NotFound):
            made.for_webhook(processor, merchant)
    await made.aclose()


async def test_stripe_needs_no_address() -> None:
    secrets = ("whsec_new", "whsec_old")
    merchant = Merchant(name="main", processor="stripe", secret_key="sk_test", webhook_secrets=secrets)
    made = build(Tenant(name="main", merchants=(merchant,)))
    assert made.hosted("main") is made.vault("main") is made.for_webhook("stripe", "main")
    await made.aclose()
    with pytest.raises(ConfigInvalid):
        build(Tenant(name="main", merchants=(Merchant(name="main", processor="simulated", secret_key="sk_test"),)))


async def test_square_needs_its_location_and_the_address_that_its_events_are_signed_for() -> None:
    def merchant(**more: str) -> Tenant:
        one = Merchant(name="main", processor="square", secret_key="EAAA", webhook_secrets=("key",), **more)  # type: ignore[arg-type]
        return Tenant(name="main", merchants=(one,))

    signed_for = "https://pay.example.org/webhooks/square/main"
    made = build(merchant(location="L1", notification_url=signed_for))
    assert made.hosted("main") is made.vault("main") is made.for_webhook("square", "main")
    await made.aclose()
    for missing, says in (({"location": "L1"}, "notification_url"), ({"notification_url": signed_for}, "location")):
        with pytest.raises(ConfigInvalid, match=says):
            build(merchant(**missing))


def test_a_processor_without_an_adapter_is_refused_at_start_and_the_others_named() -> None:
    merchant = Merchant(name="main", processor="acme", secret_key="x")
    with pytest.raises(ConfigInvalid, match=r"'acme', only .*simulated.*stripe"):
        build(Tenant(name="main", merchants=(merchant,)))


def test_a_merchant_that_is_gone_is_named() -> None:
    with pytest.raises(ConfigInvalid, match="'main'"):
        Registry({}).of("main")


@pytest.mark.parametrize("version", ["2024-06-20", "2026-09-30.endive", "2025-09-30.acacia", "newest"])
def test_a_version_that_the_stripe_adapter_does_not_speak_is_refused_at_start(version: str) -> None:
    """Every payment would be refused by Stripe, and look like a decline."""
    merchant = Merchant(name="main", processor="stripe", secret_key="sk_test", api_version=version)
    with pytest.raises(ConfigInvalid, match="api_version"):
        build(Tenant(name="main", merchants=(merchant,)))


def test_a_destination_that_may_not_be_called_is_refused_at_start() -> None:
    with pytest.raises(ConfigInvalid):
        build(tenant("https://169.254.169.254/"))
