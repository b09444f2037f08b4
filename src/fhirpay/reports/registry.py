"""All reports, by name. A new one: its file here, and a line below; docs/reports.md says what it counts."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import NotFound
from .aging import AGING
from .breaks import BREAKS
from .collections import COLLECTIONS
from .days_to_cash import DAYS_TO_CASH
from .declines import DECLINES
from .fees import FEES
from .frame import Report
from .methods import METHODS
from .refunds import REFUNDS
from .staff import STAFF
from .unapplied import UNAPPLIED
from .unposted import UNPOSTED

_ALL = (AGING, UNPOSTED, COLLECTIONS, DAYS_TO_CASH, METHODS, DECLINES, REFUNDS, FEES, UNAPPLIED, BREAKS, STAFF)
REPORTS: Mapping[str, Report] = {one.name: one for one in _ALL}


def report_of(name: str) -> Report:
    """Raises NotFound, naming those that there are."""
    if name not in REPORTS:
        raise NotFound(f"there is no report '{name[:40]}'; there are: {', '.join(sorted(REPORTS))}")
    return REPORTS[name]
