"""What can be found out about a feed: kinds, each declared beside the check that looks for it, and what was found.

A check is a generator under `@finds(code, …)`: it looks at the whole sample and yields a `Hit` for each place. One that
looks at each FT1 by itself is a function of the line under `@finds_lines(code, …, at=field)`. To add a kind: one such
function in the file of its subject, and a case in tests/unit/conformance. Sentences are for an
analyst and for the sender's: no value that could name a patient goes into a `Hit`, only places, codes and amounts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .sample import Line, Sample


class Severity(StrEnum):
    """How much it stands in the way of going live."""

    BLOCKS = "blocks"  # messages or amounts would be lost, wrong or wait for a person
    ASK = "ask"  # can be read in two ways: the sender has to say which
    NOTE = "note"  # worth knowing; nothing has to be done


@dataclass(frozen=True, slots=True)
class Kind:
    """`says` may hold {what}: what the places have in common. `setting` answers it, where one does."""

    code: str
    severity: Severity
    says: str
    ask: str
    setting: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """One place: `message 3 (MSG0003): FT1[2]-11`, and what stands there, as far as it may be said."""

    place: str
    what: str = ""


Find = Callable[["Sample"], Iterator[Hit]]


@dataclass(frozen=True, slots=True)
class Check:
    kind: Kind
    find: Find


def finds(code: str, severity: Severity, says: str, ask: str, setting: str = "") -> Callable[[Find], Check]:
    """Makes a Check of the function below it."""
    return lambda find: Check(Kind(code, severity, says, ask, setting), find)


Look = Callable[["Line"], str | None]


def finds_lines(
    code: str, severity: Severity, says: str, ask: str, setting: str = "", *, at: int, kinds: tuple[str, ...] = ()
) -> Callable[[Look], Check]:
    """Makes a Check of the function below it: of one FT1 (of these kinds, or any), what stands at field `at`.

    None: nothing is to be said; '': it is to be said, and there is nothing to add.
    """

    def made(look: Look) -> Check:
        def find(sample: Sample) -> Iterator[Hit]:
            for line in sample.of_kind(*kinds) if kinds else sample.lines:
                if (what := look(line)) is not None:
                    yield Hit(line.at(at), what)

        return Check(Kind(code, severity, says, ask, setting), find)

    return made


def checks_of(*modules: ModuleType) -> tuple[Check, ...]:
    """The checks that these files declare, in their order."""
    return tuple(one for module in modules for one in vars(module).values() if isinstance(one, Check))


_WORDS_MAX = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """A kind that was found, with all its places."""

    kind: Kind
    hits: tuple[Hit, ...]

    @property
    def says(self) -> str:
        words = list(dict.fromkeys(hit.what for hit in self.hits if hit.what))
        more = f" and {len(words) - _WORDS_MAX} more" if len(words) > _WORDS_MAX else ""
        return self.kind.says.replace("{what}", ", ".join(words[:_WORDS_MAX]) + more)


def found(check: Check, sample: Sample) -> Finding | None:
    hits = tuple(dict.fromkeys(check.find(sample)))
    return Finding(check.kind, hits) if hits else None
