"""One at a time decides what a tenant's bank lines are. Called by the use cases that match, unmatch or book a line.

A line that a rule gives to one payout while a person gives it to another would be two payouts' money. On SQLite there
is one writer anyway.
"""

from __future__ import annotations

from ..db.unit import Tx
from ..flow import places


def take_turn(tx: Tx) -> None:
    """Until the unit ends nobody else matches, unmatches or books a line of this tenant. First of all that it locks."""
    places.lock(tx, "bank", ["matching"])
