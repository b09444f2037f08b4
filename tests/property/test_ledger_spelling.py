"""The short way of verifying takes nothing in which the long one would find something, whatever was changed."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from test_ledger_exports import exported

from fhirpay.ledger.chain import canonical, digest
from fhirpay.ledger.check import Reader
from fhirpay.ledger.entry import Entry
from fhirpay.ledger.spelling import DIMS, EntryRow
from strategies import books

NASTY = ('"', "\\", "\n", "é", ',"x":"', '","x":"y', b"x", 1.5, True, None, "", 0, -1, 2**63, "\x7f", "\\u0041")


def stored(line: str) -> tuple[EntryRow, list[list[Any]]]:
    """The rows of an export's line."""
    found = json.loads(line)
    body = json.loads(found["body"])
    row = EntryRow(**{name: body[name] for name in EntryRow._fields[:-2]}, body=found["body"], hash=found["hash"])
    legs = [
        [row.entry_id, number, leg["account"], leg["side"], leg["minor"], leg["currency"], *map(leg["dims"].get, DIMS)]
        for number, leg in enumerate(body["postings"], start=1)
    ]
    return row, legs


def long_way(reader: Reader, row: Any, legs: list[list[Any]]) -> bool:
    """Whether it finds nothing: by `take_stored` of a reader that has no short way."""
    reader.take_stored(row, legs)  # type: ignore[arg-type]
    return not reader.problems


class Long(Reader):
    def take_rows(self, entry: Any, postings: Any) -> bool:
        return False


@settings(max_examples=300)
@given(entries=books(most=3), data=st.data())
def test_what_the_short_way_takes_is_whole(entries: list[Entry], data: st.DataObject) -> None:
    lines, _ = exported(entries)
    *before, last = [stored(line) for line in lines[1:-1]]
    short, long = Reader("main"), Long("main")
    for row, legs in before:
        assert short.take_rows(row, legs)  # type: ignore[arg-type]
        assert long_way(long, row, legs)
    row, legs = list(last[0]), last[1]
    number = data.draw(st.integers(0, len(legs)), label="row")
    changed = row if number == len(legs) else legs[number]
    at = data.draw(st.integers(0, len(changed) - 1), label="column")
    was = changed[at]
    others: list[Any] = [*NASTY, *(was + one for one in NASTY if isinstance(was, str) and isinstance(one, str))]
    changed[at] = data.draw(st.sampled_from(others), label="other")
    body = json.loads(last[0].body)
    match data.draw(st.sampled_from(["row alone", "text too", "text as it reads"]), label="and"):
        case "text too":  # by somebody who knows how texts and hashes are made
            if number < len(legs):
                legs_of = body["postings"][number]
                names = (None, None, "account", "side", "minor", "currency")
                if at >= len(names):
                    legs_of["dims"][DIMS[at - len(names)]] = changed[at]
                elif names[at]:
                    legs_of[names[at]] = changed[at]
            elif at < len(EntryRow._fields) - 2:
                body[EntryRow._fields[at]] = changed[at]
            if not isinstance(changed[at], bytes):
                row[-2] = canonical(body)
                row[-1] = digest(row[-2])
        case "text as it reads":  # the raw value where the text had the old one
            row[-2] = last[0].body.replace(str(was), str(changed[at]), 1)
            row[-1] = digest(row[-2].encode("ascii", "replace").decode())
        case _:
            pass
    taken = short.take_rows(row, legs)  # type: ignore[arg-type]
    if taken:
        assert long_way(long, row, legs), [str(one) for one in long.problems]
        assert (short.head, short.sums) == (long.head, long.sums)
    else:
        assert short.head == long.head  # nothing was taken
