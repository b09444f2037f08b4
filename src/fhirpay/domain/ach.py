"""ACH, the bank debit of the United States: what NACHA's return codes mean, and what follows from each. Pure data.

Called by usecases/ and payments/ where a payment by bank comes back. Sources: NACHA Operating Rules, appendix 4 (return
reasons and time frames); subsection 2.12.4 (reinitiation: at most twice more, within 180 days of the first entry's
settlement, for R01 and R09). A code that isn't in the table is shown as it came, and ends the use of its account until
a person has looked. To add a code: a line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

REASONS: Mapping[str, str] = {
    "R01": "insufficient funds",
    "R02": "account closed",
    "R03": "no account",
    "R04": "invalid account number",
    "R05": "unauthorized debit to a consumer account",
    "R06": "returned at the originating bank's request",
    "R07": "authorization revoked",
    "R08": "payment stopped",
    "R09": "uncollected funds",
    "R10": "not authorized by the account holder",
    "R11": "not in accordance with the authorization",
    "R16": "account frozen",
    "R20": "not a transaction account",
    "R29": "corporate customer advises not authorized",
}

SEC_CODES = ("WEB", "PPD", "TEL", "CCD")
"""How the payer authorized the debit: on a web page, in writing, by telephone; a company's account."""

MAY_BE_TRIED_AGAIN = frozenset({"R01", "R09"})
TRIES_AGAIN = 2
WITHIN = timedelta(days=180)

LOOK_EVERY = timedelta(days=1)  # while a debit is on its way: banks answer in days
RETURN_LOOK_EVERY = timedelta(days=7)  # while it may come back, for the event that was lost
RETURNABLE_FOR = timedelta(days=60)  # a consumer's claim (R05, R07, R10); later ones come as disputes
