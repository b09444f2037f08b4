"""What a PaymentIntent's requests may say: parameters, amounts, descriptors, kinds of methods (API reference)."""

from __future__ import annotations

import re
from typing import Any

from .errors import Doc, exclusive, unreadable
from .forms import (
    EXPAND,
    MINIMUM,
    MOST,
    PAGE,
    Form,
    amount,
    array,
    boolean,
    currency,
    hash_of,
    integer,
    metadata,
    one_of,
    string,
)
from .versions import ALLOWED_TYPES, NO_WRITABLE_TYPES, types_no_longer_supported

_CHOICE = one_of("true", "false", "one_off", "recurring")


def _off_session(raw: Any, param: str) -> bool:
    return _CHOICE(raw, param) != "false"


_ACCEPTANCE = Form(
    {
        "type": one_of("online", "offline"),
        "accepted_at": integer(),
        "online": hash_of(Form({"ip_address": string(), "user_agent": string()}, ("ip_address", "user_agent"))),
        "offline": hash_of(Form({})),
    },
    ("type",),
)
MANDATE = hash_of(Form({"customer_acceptance": hash_of(_ACCEPTANCE)}, ("customer_acceptance",)))
_AUTOMATIC = hash_of(Form({"enabled": boolean, "allow_redirects": one_of("always", "never")}, ("enabled",)))
_CAPTURE = one_of("automatic", "automatic_async", "manual")

_ON_CONFIRM: dict[str, Any] = {
    "error_on_requires_action": boolean,
    "expand": EXPAND,
    "mandate": string(),
    "mandate_data": MANDATE,
    "off_session": _off_session,
    "payment_method": string(),
    "receipt_email": string(800),
    "return_url": string(),
    "setup_future_usage": one_of("off_session", "on_session"),
    "use_stripe_sdk": boolean,
    "capture_method": _CAPTURE,
}
_CONFIRM_UNMODELLED = frozenset(
    "amount_details amount_to_confirm confirmation_token excluded_payment_method_types hooks payment_details "
    "payment_method_data payment_method_options radar_options shipping".split()
)
# API reference, Create a PaymentIntent: "This parameter can only be used with confirm=true"
ONLY_WITH_CONFIRM = ("off_session", "return_url", "mandate", "mandate_data", "error_on_requires_action")


def _types(version: str) -> dict[str, Any]:
    kinds = array(one_of("card", "us_bank_account", "link", "card_present", "affirm", "klarna", "cashapp"))
    return {
        "payment_method_types": kinds,
        **({"allowed_payment_method_types": kinds} if version >= ALLOWED_TYPES else {}),
    }


def create_form(version: str) -> Form:
    """API reference, Create a PaymentIntent."""
    return Form(
        {
            **_ON_CONFIRM,
            **_types(version),
            "amount": amount,
            "currency": currency,
            "automatic_payment_methods": _AUTOMATIC,
            "confirm": boolean,
            "confirmation_method": one_of("automatic", "manual"),
            "customer": string(),
            "description": string(1000),
            "metadata": metadata,
            "statement_descriptor": string(),
            "statement_descriptor_suffix": string(),
        },
        ("amount", "currency"),
        _CONFIRM_UNMODELLED - {"amount_to_confirm"}
        | frozenset(
            "application_fee_amount customer_account on_behalf_of payment_method_configuration transfer_data "
            "transfer_group".split()
        ),
    )


def confirm_form(version: str) -> Form:
    """API reference, Confirm a PaymentIntent."""
    return Form({**_ON_CONFIRM, **_types(version)}, (), _CONFIRM_UNMODELLED)


# API reference, Capture a PaymentIntent
CAPTURE = Form(
    {
        "amount_to_capture": amount,
        "expand": EXPAND,
        "final_capture": boolean,
        "metadata": metadata,
        "statement_descriptor_suffix": string(),
    },
    (),
    frozenset("amount_details application_fee_amount hooks payment_details statement_descriptor transfer_data".split()),
)
# API reference, Cancel a PaymentIntent
CANCEL = Form(
    {
        "cancellation_reason": one_of("duplicate", "fraudulent", "requested_by_customer", "abandoned"),
        "expand": EXPAND,
    }
)
RETRIEVE = Form({"client_secret": string(), "expand": EXPAND})
LIST = Form({**PAGE, "customer": string()}, (), frozenset({"customer_account"}))
SEARCH = Form({"query": string(), "limit": integer(1, 100), "page": string(), "expand": EXPAND}, ("query",))


# ── rules on amounts, descriptors, types ──────────────────────────────────────────────────────────────────────────


def check_amount(minor: int, code: str) -> None:
    # Error codes: amount_too_small, amount_too_large; the limits: Create a PaymentIntent, amount
    if minor < MINIMUM[code]:
        raise unreadable(f"Amount must be at least {MINIMUM[code]} {code}", code="amount_too_small", param="amount")
    if minor > MOST:
        raise unreadable(f"Amount must be no more than {MOST} {code}", code="amount_too_large", param="amount")


def check_descriptors(params: Doc, types: list[str], *, inside: str = "") -> None:
    """Statement descriptors, requirements; the account's prefix here is PRACTICE."""

    def name(key: str) -> str:
        return f"{inside}[{key}]" if inside else key

    if "statement_descriptor" in params and "card" in types:
        # Create a PaymentIntent: setting statement_descriptor for a card charge returns an error
        message = (
            "The statement_descriptor parameter is not supported for the payment_method_type `card`. To continue "
            "supporting payment_method_type `card`, please pass in `statement_descriptor_suffix` or remove the "
            "`statement_descriptor` parameter altogether."
        )
        raise unreadable(message, param=name("statement_descriptor"))
    for key in ("statement_descriptor", "statement_descriptor_suffix"):
        if (text := params.get(key)) is None:
            continue
        if re.search(r"[<>\\'\"*]", text) or not text.isascii():
            raise unreadable(f"The {key} contains characters that are not allowed", param=name(key))
        if not re.search(r"[A-Za-z]", text):
            raise unreadable(f"The {key} must contain at least one letter", param=name(key))
        # suffix: the concatenated descriptor (prefix, "* ", suffix) is at most 22 characters
        if len(text) + (len("PRACTICE* ") if key.endswith("suffix") else 0) > 22:
            raise unreadable(f"The {key} is too long: 22 characters in all", param=name(key))


def resolve_types(params: Doc, code: str, version: str) -> tuple[list[str], Doc | None]:
    """(payment_method_types, automatic_payment_methods). Dynamic payment methods are the default since 2023-08-16."""
    given = [key for key in ("payment_method_types", "allowed_payment_method_types") if key in params]
    if "payment_method_types" in params and version >= NO_WRITABLE_TYPES:
        raise types_no_longer_supported()
    automatic = params.get("automatic_payment_methods")
    if given and (len(given) > 1 or (automatic and automatic["enabled"])):
        # Changelog, 2026-07-29.dahlia: mutually exclusive; Create a PaymentIntent for the older parameter
        raise exclusive(*given, "automatic_payment_methods")
    offered = ["card", "us_bank_account"] if code == "usd" else ["card"]
    if "payment_method_types" in params:
        return params["payment_method_types"], None
    if "allowed_payment_method_types" in params:
        return [kind for kind in params["allowed_payment_method_types"] if kind in offered], None
    if automatic and not automatic["enabled"]:
        return ["card"], None
    redirects = (automatic or {}).get("allow_redirects", "always")
    return offered, {"allow_redirects": redirects, "enabled": True}
