"""`[[tenants.terminals]]`: the card readers of a practice, each with its name here and its id at the processor. Checked
by `config.Tenant` and `payments/registry.py`; asked by start_payment.py and `web/api/terminals.py`.

They are configured, not read from the processor: which reader stands at which facility and till is the practice's to
say, and one of another branch that shares the account at the processor must never be asked for a card by mistake.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from .config_section import Section


class Terminal(Section):
    """A card reader that takes payments when it is asked to."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$", description="what the desk calls it: it stands with its payments"
    )
    merchant: str = Field(description="the merchant at whose processor it is registered")
    reader: str = Field(
        pattern=r"^[A-Za-z0-9_:-]{4,80}$", description="the processor's id of it: tmr_… (stripe); no secret"
    )
    facility: str = Field(default="main", description="the facility that is paid there")
    till: str = Field(default="", description="the till that it stands at; empty: none")
    card_within_s: int = Field(
        default=180, ge=30, le=3600, description="how long it waits for a card: then the payment is canceled there"
    )


def check(terminals: Iterable[Terminal], merchants: set[str], facilities: set[str], tills: dict[str, str]) -> None:
    """Raises ValueError. `tills` are their names, with the facility of each."""
    names: set[str] = set()
    readers: set[tuple[str, str]] = set()
    for one in terminals:
        if one.name in names:
            raise ValueError(f"two terminals are named '{one.name}': payments are started by it")
        if (one.merchant, one.reader) in readers:
            raise ValueError(f"terminal '{one.name}' has the reader of another one: a reader stands once")
        names.add(one.name)
        readers.add((one.merchant, one.reader))
        if one.merchant not in merchants:
            raise ValueError(f"terminal '{one.name}' names merchant '{one.merchant}', not defined")
        if one.facility not in facilities:
            raise ValueError(f"terminal '{one.name}' names facility '{one.facility}', not defined")
        if one.till and tills.get(one.till) != one.facility:
            raise ValueError(f"terminal '{one.name}' names till '{one.till}', which facility '{one.facility}' hasn't")
