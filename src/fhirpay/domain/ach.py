"""ACH, the bank debit of the United States: what NACHA's return codes mean, and what follows from each. Pure data.

Called by usecases/ and payments/ where a payment by bank comes back. Sources: NACHA Operating Rules, appendix 4 (return
reasons and time frames); subsection 2.12.4 (reinitiation: at most twice more, within 180 days of the first entry's
settlement, for R01 and R09). A code that isn't in the table is shown as it came, and ends the use of its account until
a person has looked. To add a code: a line here.
"""

from __future__ import annotations

from collections.abc import Mapping

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
