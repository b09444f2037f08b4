"""Which adapter serves which merchant. Built once by `wiring` from the configuration; asked by use cases.

To add a processor: its adapter in `adapters/`, and a line in `_MAKES` (docs/processors.md). A second processor is tried
only where the first was provably never reached (choice.py), so nothing here falls over by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..config import Merchant, Tenant
from ..errors import ConfigInvalid, NotFound
from ..net.http import HttpClient, Transport, client
from . import choice
from .adapters import adyen, authorizenet, square, stripe
from .adapters.simulated import SimulatedProcessor
from .balance_port import Balance
from .port import BankVault, Disputes, Hosted, Processor, Vault
from .settlement_port import Settlement, SettlementReports
from .terminal_port import Terminal


def _http(merchant: Merchant, transport: Transport | None, base_url: str = "") -> HttpClient:
    """To the merchant's own address, else to the one that the adapter knows. Raises ConfigInvalid without either."""
    return client(
        merchant.base_url or base_url,
        timeout_s=merchant.timeout_s,
        allow_private=merchant.private_network,
        transport=transport,
    )


def _simulated(merchant: Merchant, transport: Transport | None) -> Processor:
    http = _http(merchant, transport)
    return SimulatedProcessor(http, secret_key=merchant.secret_key, webhook_secrets=merchant.webhook_secrets)


def _stripe(merchant: Merchant, transport: Transport | None) -> Processor:
    """Raises ConfigInvalid for a version of the API that the adapter does not speak."""
    return stripe.StripeProcessor(
        _http(merchant, transport, stripe.BASE_URL),
        secret_key=merchant.secret_key,
        webhook_secrets=merchant.webhook_secrets,
        api_version=merchant.api_version or stripe.API_VERSION,
    )


def _square(merchant: Merchant, transport: Transport | None) -> Processor:
    """Raises ConfigInvalid without a location, or without the address that its events are signed for."""
    return square.SquareProcessor(
        _http(merchant, transport, square.BASE_URL),
        secret_key=merchant.secret_key,
        location=merchant.location,
        notification_url=merchant.notification_url,
        webhook_secrets=merchant.webhook_secrets,
        api_version=merchant.api_version or square.API_VERSION,
    )


def _authorizenet(merchant: Merchant, transport: Transport | None) -> Processor:
    """Raises ConfigInvalid without the API Login ID."""
    return authorizenet.AuthorizeNetProcessor(
        _http(merchant, transport, authorizenet.BASE_URL),
        login=merchant.account,
        transaction_key=merchant.secret_key,
        signature_keys=merchant.webhook_secrets,
        keys_are=merchant.webhook_key,
    )


def _adyen(merchant: Merchant, transport: Transport | None) -> Processor:
    """Raises ConfigInvalid without a merchant account, or for a webhook secret that is no HMAC key."""
    reports = client(
        adyen.reports_address(merchant.report_url, merchant.live_prefix),
        timeout_s=merchant.timeout_s,
        allow_private=merchant.private_network,
        transport=transport,
    )
    return adyen.AdyenProcessor(
        _http(merchant, transport, adyen.address("", merchant.live_prefix)),
        api_key=merchant.secret_key,
        merchant_account=merchant.account,
        hmac_keys=merchant.webhook_secrets,
        reports=reports,
        report_user=merchant.report_user,
        report_password=merchant.report_password,
    )


_MAKES: Mapping[str, Callable[[Merchant, Transport | None], Processor]] = {
    "simulated": _simulated,
    "square": _square,
    "stripe": _stripe,
    "authorizenet": _authorizenet,
    "adyen": _adyen,
}


class Registry:
    """One tenant's processors, by merchant."""

    def __init__(self, processors: Mapping[str, Processor]) -> None:
        self._processors = dict(processors)

    def of(self, merchant: str) -> Processor:
        """Raises ConfigInvalid when the merchant is no longer configured."""
        found = self._processors.get(merchant)
        if found is None:
            raise ConfigInvalid(f"merchant '{merchant}' is not configured; define it in [[tenants.merchants]]")
        return found

    def hosted(self, merchant: str) -> Hosted:
        found = self.of(merchant)
        if not found.capabilities.hosted or not isinstance(found, Hosted):
            raise ConfigInvalid(f"the processor of merchant '{merchant}' has no page to pay on")
        return found

    def vault(self, merchant: str) -> Vault:
        found = self.of(merchant)
        if not found.capabilities.vault or not isinstance(found, Vault):
            raise ConfigInvalid(f"the processor of merchant '{merchant}' keeps no payment methods")
        return found

    def disputes(self, merchant: str) -> Disputes:
        found = self.of(merchant)
        if not found.capabilities.disputes or not isinstance(found, Disputes):
            raise ConfigInvalid(f"the processor of merchant '{merchant}' shows no disputes")
        return found

    def settlement(self, merchant: str) -> Settlement:
        found = self.of(merchant)
        if not found.capabilities.settlement or not isinstance(found, Settlement):
            raise ConfigInvalid(f"the processor of merchant '{merchant}' can't be asked what it has paid out")
        return found

    def settlement_reports(self, merchant: str) -> SettlementReports:
        found = self.of(merchant)
        if not found.capabilities.settlement_reports or not isinstance(found, SettlementReports):
            raise ConfigInvalid(f"the processor of merchant '{merchant}' makes no reports of what it has paid out")
        return found

    def balance(self, merchant: str) -> Balance:
        found = self.of(merchant)
        if not found.capabilities.balance or not isinstance(found, Balance):
            raise ConfigInvalid(f"the processor of merchant '{merchant}' can't be asked what it holds")
        return found

    def bank_vault(self, merchant: str) -> BankVault:
        found = self.of(merchant)
        if not found.capabilities.bank_debits or not isinstance(found, BankVault):
            raise ConfigInvalid(f"the processor of merchant '{merchant}' keeps no bank accounts")
        return found

    def terminal(self, merchant: str) -> Terminal:
        found = self.of(merchant)
        if not found.capabilities.terminals or not isinstance(found, Terminal):
            raise ConfigInvalid(f"the processor of merchant '{merchant}' drives no card readers")
        return found

    def for_webhook(self, processor: str, merchant: str) -> Processor:
        """Raises NotFound, as for any address that doesn't exist."""
        found = self._processors.get(merchant)
        if found is None or found.name != processor:
            raise NotFound(f"there is no webhook for {processor}/{merchant}")
        return found

    async def aclose(self) -> None:
        for processor in self._processors.values():
            close = getattr(processor, "aclose", None)
            if close is not None:
                await close()


def build(tenant: Tenant, *, transport: Transport | None = None) -> Registry:
    """The tenant's processors as configured. `transport` is another network, for tests.

    Raises ConfigInvalid for a merchant that is to do what its processor doesn't: on its page, or on a terminal.
    """
    made = {merchant.name: _made(merchant, transport) for merchant in tenant.merchants}
    for merchant in tenant.merchants:
        if "bank" in merchant.pay_by and not made[merchant.name].capabilities.bank_debits:
            raise ConfigInvalid(
                f"the processor of merchant '{merchant.name}' takes no bank debits: leave bank out of pay_by"
            )
    registry = Registry(made)
    for one in tenant.terminals:
        try:
            registry.terminal(one.merchant)
        except ConfigInvalid as error:
            raise ConfigInvalid(f"terminal '{one.name}': {error.message}; name another merchant") from None
    choice.check(tenant.routes)
    for route in tenant.routes:
        for name in route.merchants:
            what = registry.hosted if route.kind == "page" else registry.vault
            try:
                what(name)
            except ConfigInvalid as error:
                raise ConfigInvalid(f"route '{route.name}': {error.message}; name another merchant") from None
    return registry


def _made(merchant: Merchant, transport: Transport | None) -> Processor:
    """Raises ConfigInvalid for a processor that has no adapter."""
    make = _MAKES.get(merchant.processor)
    if make is None:
        known = ", ".join(sorted(_MAKES))
        raise ConfigInvalid(f"merchant '{merchant.name}': there is no processor '{merchant.processor}', only {known}")
    return make(merchant, transport)
