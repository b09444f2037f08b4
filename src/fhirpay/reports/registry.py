"""All reports, by name. A new one: its file here, and a line below; docs/reports.md says what it counts."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import NotFound
from .aging import AGING
from .frame import Report

REPORTS: Mapping[str, Report] = {one.name: one for one in (AGING,)}


def report_of(name: str) -> Report:
    """Raises NotFound, naming those that there are."""
    if name not in REPORTS:
        raise NotFound(f"there is no report '{name[:40]}'; there are: {', '.join(sorted(REPORTS))}")
    return REPORTS[name]
