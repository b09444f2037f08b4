"""The adapters that show disputes keep the contract, over real HTTP."""

from __future__ import annotations

from dispute_contract import DisputeContract

from processor_sides import SIMULATED, STRIPE


class TestSimulated(DisputeContract):
    side = SIMULATED


class TestStripe(DisputeContract):
    side = STRIPE
