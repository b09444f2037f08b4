"""Versions of the API: `Stripe-Version` picks one for a request (Versioning; Changelog). Others are refused.

Only versions since 2025-03-31.basil are modelled: that one ended the Refund objects of partial captures and of
cancellations (Changelog, 2025-03-31.basil, "Partially capturing or canceling payments no longer creates a Refund").
"""

from __future__ import annotations

from .errors import Refused, unreadable

VERSIONS = (
    "2025-03-31.basil 2025-04-30.basil 2025-05-28.basil 2025-06-30.basil 2025-07-30.basil 2025-08-27.basil "
    "2025-09-30.clover 2025-10-29.clover 2025-11-17.clover 2025-12-15.clover 2026-01-28.clover 2026-02-25.clover "
    "2026-03-25.dahlia 2026-04-22.dahlia 2026-05-27.dahlia 2026-06-24.dahlia 2026-07-29.dahlia 2026-08-26.dahlia "
    "2026-09-30.endive 2026-10-28.endive"
).split()
LATEST = VERSIONS[-1]

# Changelog, 2026-07-29.dahlia: adds allowed_payment_method_types to Payment Intents and Setup Intents
ALLOWED_TYPES = "2026-07-29.dahlia"
# Changelog, 2026-09-30.endive: removes payment_method_types as a writable parameter
NO_WRITABLE_TYPES = "2026-09-30.endive"
# Changelog, 2026-03-25.dahlia: renames the values of ui_mode
UI_MODE_RENAMED = "2026-03-25.dahlia"


def checked(version: str) -> str:
    """The version to answer in. Versioning: an unknown one is a 400."""
    if version not in VERSIONS:
        raise unreadable(f"Invalid Stripe API version: {version}")
    return version


def types_no_longer_supported() -> Refused:
    """Changelog, 2026-09-30.endive: 400 with this code."""
    return unreadable(
        "The payment_method_types parameter is no longer supported on this API version.",
        code="payment_method_types_no_longer_supported",
        param="payment_method_types",
    )
