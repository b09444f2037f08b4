"""Why a bank returns a check, in words of ours for the reasons that its notice states (ANSI X9.100-187 has them as
letters). Used where a return is entered, and where it is told to an EHR.
"""

from __future__ import annotations

from collections.abc import Mapping

REASONS: Mapping[str, str] = {
    "insufficient_funds": "insufficient funds",
    "uncollected_funds": "uncollected funds",
    "stop_payment": "payment stopped",
    "closed_account": "account closed",
    "no_account": "no such account",
    "frozen_account": "account frozen",
    "stale_dated": "too old",
    "post_dated": "dated ahead",
    "signature": "signature missing or wrong",
    "endorsement": "endorsement missing or wrong",
    "refer_to_maker": "refer to maker",
    "other": "another reason",
}
