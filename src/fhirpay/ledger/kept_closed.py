"""Did closed periods stay closed? The steps against each other, and each entry against the steps. Pure.

Used by verify.py, online and of an export. A step that is changed, or taken out from between others, breaks their
chain. One at the end is missed by an entry that came late for the day that it had closed, and by a head that was
printed after it: heads name the steps too (`Mark`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta

from sqlalchemy import RowMapping

from ..db.types import moment
from ..errors import ValueInvalid
from .chain import GENESIS, Head, digest
from .closed import LATE, Step, row_of, text_of
from .month import Month

_LATE = f'"{LATE}":"'


def step_of(text: str, stored_hash: str) -> Step | None:
    """The step that this text is; None where it can't be one."""
    try:
        body = json.loads(text)
        through = date.fromisoformat(body["closed_through"]) if body["closed_through"] else None
        said = (str(body["by"]), str(body["why"]), moment(body["recorded_at"]))
        period, head = Month.parse(body["period"]), Head.parse(body["head"])
        return Step(int(body["number"]), period, str(body["step"]), through, *said, head, text, stored_hash)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, ValueInvalid):
        return None


def of_rows(rows: Sequence[RowMapping], tenant: str) -> tuple[list[Step], list[str]]:
    """The steps by their texts, and which rows say something else, or have a text that is none."""
    made, wrong = list[Step](), list[str]()
    for row in rows:
        step = step_of(row["body"], row["hash"])
        if step is not None:
            made.append(step)
        if step is None or row_of(step, tenant) != dict(row):
            wrong.append(f"the row of step {row['number']} says something else than its text")
    return made, wrong


def wrong_steps(tenant: str, made: Sequence[Step], printed: Iterable[Head] = ()) -> Iterator[str]:
    """Each is to say what was hashed, and to follow the one before it; and those that were printed are to be there."""
    prev = GENESIS
    for number, one in enumerate(made, start=1):
        if one.number != number or one.body != text_of(one, tenant, prev) or digest(one.body) != one.hash:
            yield f"step {one.number} has been changed since it was made, or one before it is gone"
        prev = one.hash
    for head in sorted(set(printed)):
        if head.seq > len(made):
            yield f"step {head.seq} was printed, the steps end at {len(made)}"
        elif head.seq and made[head.seq - 1].hash != head.hash:
            yield f"another step was printed as the one of number {head.seq}"


class Closed:
    """The steps as the entries come by: `wrong` wants them in the order of `seq`."""

    def __init__(self, made: Sequence[Step]) -> None:
        self._made, self._next = made, 0
        self._ever = max((one.through.isoformat() for one in made if one.through), default="")

    def concerns(self, day: str, text: str) -> bool:
        """Whether an entry of this day and text can have anything to do with a step: cheap, since few have."""
        return day <= self._ever or _LATE in text

    def wrong(self, seq: int, day: str, text: str) -> str:
        """What is wrong with an entry: it is of a day that was closed when it came, or says that it came late for one
        that was not."""
        while self._next < len(self._made) and self._made[self._next].head.seq < seq:
            self._next += 1
        step = self._made[self._next - 1] if self._next else None
        through = step.through if step else None
        if (late := _late_of(text)) and (
            through is None or late > through.isoformat() or day != (through + timedelta(days=1)).isoformat()
        ):
            return f"it came late for {late}, and no step had closed that day"
        if step and through and day <= through.isoformat():
            return f"it is of {day}, which was closed with {step.period}"
        return ""


def _late_of(text: str) -> str:
    if _LATE not in text:
        return ""
    try:
        return str(json.loads(text)["refs"].get(LATE, ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""  # no text of ours: that is told of it
