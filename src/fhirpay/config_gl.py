"""Which account of the practice's general ledger an account of ours is there. Part of `config`."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from .config_section import Section


class GlAccount(Section):
    """Where one account of ours stands in the general ledger; of several lines that fit, the closest one counts."""

    account: str = Field(description="the account here, such as processor_clearing (docs/ledger.md lists them)")
    number: str = Field(pattern=r"^\S(.{0,58}\S)?$", description="its number in the general ledger")
    title: str = Field(default="", max_length=100, description="what it is called there")
    event: str = Field(default="", description="only entries of this kind, such as written_off_at_ehr; closest of all")
    till: str = Field(default="", description="only what is at this till; safe:FACILITY is its safe; next")
    merchant: str = Field(default="", description="only what is at this merchant; next")
    facility: str = Field(default="", description="only what is of this facility")

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        return (self.account, self.event, self.till, self.merchant, self.facility)


def check(lines: Iterable[GlAccount], merchants: set[str], facilities: set[str], tills: set[str]) -> None:
    """Raises ValueError."""
    seen: set[tuple[str, ...]] = set()
    safes = {f"safe:{name}" for name in facilities}
    for one in lines:
        if one.key in seen:
            raise ValueError(f"two gl_accounts are of '{one.account}' and of the same else: which one counts?")
        seen.add(one.key)
        for kind, name, known in (
            ("merchant", one.merchant, merchants),
            ("facility", one.facility, facilities),
            ("till", one.till, tills | safes),
        ):
            if name and name not in known:
                raise ValueError(f"a gl_account of '{one.account}' names {kind} '{name}', not defined")
