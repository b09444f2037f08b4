"""The adapters that show disputes keep the contract, over real HTTP."""

from __future__ import annotations

from typing import Any

from dispute_contract import DisputeContract

from processor_sides import SIMULATED, SQUARE, STRIPE


class TestSimulated(DisputeContract):
    side = SIMULATED


class TestStripe(DisputeContract):
    side = STRIPE


class TestSquare(DisputeContract):
    side = SQUARE
    fee = 0
    reason = "no_knowledge"
    rounds = False
    told = 1

    def about(self, event: dict[str, Any]) -> str:
        return event["data"]["id"]
