"""The practice's bank in a month: what it has booked on each of three accounts, and its files in three formats.

CSV files overlap by a day; BAI2 and CAMT.053 have balances. A file is of one day and is there on the next morning.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bank_files import BAI2, CAMT, CSV, Line, bai2_of, camt_of, csv_of
from fhirpay.config import BankAccount

BANKS: dict[str, BankAccount] = {
    "harbor": CSV.model_copy(update={"name": "harbor", "merchants": ("harbor",), "late_days": 1}),
    "mesa": BAI2.model_copy(update={"name": "mesa", "merchants": ("mesa",), "late_days": 1}),
    "bay": CAMT.model_copy(update={"name": "bay", "merchants": ("bay",), "currency": "USD", "late_days": 1}),
}
OPENING = 10_000_00


@dataclass
class Bank:
    """One account. `lines` are by day; whoever plants an error changes them before the file is made."""

    name: str
    lines: dict[str, list[Line]] = field(default_factory=dict[str, list[Line]])
    lost: set[str] = field(default_factory=set[str])  # days whose file doesn't arrive
    unwritten: set[str] = field(default_factory=set[str])  # references of lines that are in the balances alone

    @property
    def format(self) -> str:
        return BANKS[self.name].format

    def booked(self, day: str, payouts: list[tuple[str, int]]) -> None:
        """Each payout's own line, in the words of the processor; the bank's reference is its own."""
        mine = self.lines.setdefault(day, [])
        for payout, cents in payouts:
            number = sum(map(len, self.lines.values())) + 1
            mine.append((day, cents, f"{self.name[0].upper()}{number:06d}", f"SIMULATED PAYOUT {payout}"))

    def counted(self, day: str, bags: list[tuple[str, int]]) -> None:
        """Each bag's own line, with the number of its slip, which the bank fills up with zeros."""
        mine = self.lines.setdefault(day, [])
        for slip, cents in bags:
            number = sum(map(len, self.lines.values())) + 1
            mine.append((day, cents, f"{self.name[0].upper()}{number:06d}", f"COUNTER DEPOSIT SLIP {slip:0>10}"))

    def took_back(self, day: str, checks: list[tuple[str, int]]) -> None:
        """Each check that bounced, and what the bank takes for it, with the check's number."""
        mine = self.lines.setdefault(day, [])
        for check, cents in checks:
            number = sum(map(len, self.lines.values())) + 1
            mine.append((day, -cents, f"{self.name[0].upper()}{number:06d}", f"RETURNED ITEM CHECK {check}"))

    def balance(self, before: str) -> int:
        return OPENING + sum(one[1] for day, lines in self.lines.items() if day < before for one in lines)

    def file(self, day: str) -> bytes | None:
        """None: a bank that writes CSV sends none of days without a line."""
        lines = self.lines.get(day, [])
        match BANKS[self.name].format:
            case "csv":
                before = max((one for one in self.lines if one < day), default="")
                both = [*self.lines.get(before, []), *lines]
                return csv_of(both) if both else None
            case "bai2":
                opening = self.balance(day)
                shown = [one for one in lines if one[2] not in self.unwritten]
                return bai2_of(shown, day=day, opening=opening, closing=opening + sum(one[1] for one in lines))
            case "camt053":
                return camt_of(lines, first=day, last=day, opening=self.balance(day), currency="USD")
