"""HL7v2 messages broken along their own grammar, each by its number: the same seed and number are the same bytes.

`case(seed, number)` takes one of our golden or sample messages, gives it a control id of its own, breaks it in a few
places (fields, segments, header, separators, charset, size) and puts it on the wire whole, cut, nested or in a batch.
To try another way of breaking, add a function to the table of its level.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import fuzz_values as v

from fhirpay.hl7.batch import read_batch
from golden_messages import ALL, messages_of

MAX_BYTES = 2_000_000  # of the interfaces that are fuzzed: what is larger is tried too
RARE = 4_000  # one case in so many is of the largest kind
MANY = 100_000  # segments
VT, FS = "\x0b", "\x1c"


@dataclass(frozen=True, slots=True)
class Case:
    """What a sender writes. `how` names what was done to it; `cuts` where the writes are split."""

    number: int
    data: bytes
    how: tuple[str, ...]
    cuts: tuple[int, ...] = ()


@dataclass
class Draft:
    """A message while it is broken: its segments' fields, MSH-1 left out, so that MSH-n is `lines[0][n - 1]`."""

    rng: random.Random
    control_id: str
    lines: list[list[str]]
    separator: str = "|"
    ending: str = "\r"

    def text(self) -> str:
        return self.ending.join(self.separator.join(fields) for fields in self.lines) + self.ending

    def header(self, number: int, value: str) -> None:
        msh = self.lines[0]
        msh.extend([""] * (number - len(msh)))
        msh[number - 1] = value

    def some(self) -> int:
        """The place of a segment that isn't the header, or 0 where there is none."""
        return self.rng.randrange(1, len(self.lines)) if len(self.lines) > 1 else 0


@cache
def bases() -> tuple[str, ...]:
    """Messages in the standard's separators, as text of one character a byte."""
    found = [message for path in ALL for message in read_batch(messages_of(path)).messages]
    return tuple(text for message in found if (text := message.decode("latin-1")).startswith("MSH|^~\\&|"))


# ── fields ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def odd_value(draft: Draft) -> None:
    fields = draft.lines[draft.some()]
    if len(fields) > 1:
        fields[draft.rng.randrange(1, len(fields))] = v.value(draft.rng)


def odd_component(draft: Draft) -> None:
    fields = draft.lines[draft.some()]
    place = draft.rng.randrange(len(fields))
    parts = fields[place].split("^") if place else [fields[0]]
    if place:
        parts[draft.rng.randrange(len(parts))] = v.value(draft.rng)
        fields[place] = "^".join(parts)


def odd_amount(draft: Draft) -> None:
    for fields in draft.lines:
        if fields[0] == "FT1" and len(fields) > 12:
            fields[draft.rng.choice((10, 11, 12))] = draft.rng.choice(v.AMOUNTS)


def odd_time(draft: Draft) -> None:
    fields = draft.lines[draft.some()]
    places = [place for place, text in enumerate(fields) if re.fullmatch(r"[12][0-9]{7,}.*", text)]
    if places:
        fields[draft.rng.choice(places)] = draft.rng.choice(v.TIMES)


def moved_value(draft: Draft) -> None:
    one, other = draft.lines[draft.some()], draft.lines[draft.some()]
    if len(one) > 1 and len(other) > 1:
        a, b = draft.rng.randrange(1, len(one)), draft.rng.randrange(1, len(other))
        one[a], other[b] = other[b], one[a]


def shifted_fields(draft: Draft) -> None:
    fields = draft.lines[draft.some()]
    place = draft.rng.randrange(1, len(fields) + 1)
    if draft.rng.random() < 0.5:
        fields.insert(place, "")
    elif place < len(fields):
        del fields[place]


# ── segments ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def dropped(draft: Draft) -> None:
    place = draft.some()
    if place or draft.rng.random() < 0.05:
        del draft.lines[place]


def doubled(draft: Draft) -> None:
    if place := draft.some():
        copies = draft.rng.choice((1, 1, 1, 2, 30))
        draft.lines[place:place] = [list(draft.lines[place]) for _ in range(copies)]


def swapped(draft: Draft) -> None:
    one, other = draft.some(), draft.some()
    draft.lines[one], draft.lines[other] = draft.lines[other], draft.lines[one]


def renamed(draft: Draft) -> None:
    draft.lines[draft.some()][0] = draft.rng.choice(v.NAMES)


def misnamed(draft: Draft) -> None:
    draft.lines[draft.some()][0] = draft.rng.choice(v.STRANGE_NAMES)


def added(draft: Draft) -> None:
    fields = [draft.rng.choice(v.NAMES), *(v.value(draft.rng) for _ in range(draft.rng.randrange(1, 12)))]
    draft.lines.insert(draft.rng.randrange(1, len(draft.lines) + 1), fields)


def shuffled(draft: Draft) -> None:
    head, *rest = draft.lines
    draft.rng.shuffle(rest)
    draft.lines = [head, *rest]


def blank_lines(draft: Draft) -> None:
    draft.lines.insert(draft.rng.randrange(len(draft.lines) + 1), [draft.rng.choice(("", " ", "\n", "\t"))])


# ── header ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def other_type(draft: Draft) -> None:
    draft.header(9, draft.rng.choice(v.TYPES))


def other_version(draft: Draft) -> None:
    draft.header(12, draft.rng.choice(v.VERSIONS))


def other_processing(draft: Draft) -> None:
    draft.header(11, draft.rng.choice(("T", "D", "", "P^T", "p", '""', "P\\T\\")))


def other_id(draft: Draft) -> None:
    own = draft.control_id
    draft.header(
        10, draft.rng.choice(("", '""', own + "\\F\\", own + "^x", own * 40, own + "\x00", own + "\xff", own + "~"))
    )


def acknowledged(draft: Draft) -> None:
    if draft.rng.random() < 0.2:  # the later answer of enhanced mode is waited for
        draft.header(15, draft.rng.choice(v.WHEN))
        draft.header(16, draft.rng.choice(v.WHEN))
    else:
        draft.header(15, draft.rng.choice(("NE", "ER", "SU")))
        draft.header(16, "NE")


def declared(draft: Draft) -> None:
    draft.header(18, draft.rng.choice(v.CHARSETS))
    if draft.rng.random() < 0.5:
        fields = draft.lines[draft.some()]
        fields[-1] += draft.rng.choice(v.BYTES)


def odd_header(draft: Draft) -> None:
    draft.header(draft.rng.randrange(3, 22), v.value(draft.rng))


def short_header(draft: Draft) -> None:
    draft.lines[0] = draft.lines[0][: draft.rng.randrange(1, 13)]


# ── the whole text ────────────────────────────────────────────────────────────────────────────────────────────────────


def other_separators(draft: Draft) -> None:
    """All five, as declared: nothing is wrong with it, unless two are the same."""
    marks = draft.rng.sample(v.SEPARATORS, 5) if draft.rng.random() < 0.8 else draft.rng.choices(v.SEPARATORS, k=5)
    table = str.maketrans("^~\\&", "".join(marks[1:]))
    draft.lines = [[text.translate(table) for text in fields] for fields in draft.lines]
    draft.separator = marks[0]


def lying_separators(draft: Draft) -> None:
    """MSH-2 says others than the message uses."""
    draft.header(
        2,
        draft.rng.choice(
            ("^~\\", "^~", "^", "", "^~\\&#", "&^~\\", "~^\\&", "^^\\&", "^~\\&|", "abcd", "\xe9~\\&", "^~\\&\x00")
        ),
    )


def other_field_separator(draft: Draft) -> None:
    draft.separator = draft.rng.choice(("^", "!", "\x00", "\t", " ", "a", "\\", "\xe9", "||", "\r"))


def other_ending(draft: Draft) -> None:
    draft.ending = draft.rng.choice(("\n", "\r\n", "\r\r", "\n\r", "\x00", "\r\n\n", "\x85"))


MUTATIONS: tuple[tuple[int, Callable[[Draft], None]], ...] = (
    (14, odd_value), (10, odd_component), (6, odd_amount), (5, odd_time), (6, moved_value), (6, shifted_fields),
    (5, dropped), (5, doubled), (3, swapped), (3, renamed), (3, misnamed), (4, added), (2, shuffled), (2, blank_lines),
    (3, other_type), (2, other_version), (2, other_processing), (2, other_id), (3, acknowledged), (3, declared),
    (3, odd_header), (1, short_header), (3, other_separators), (2, lying_separators), (1, other_field_separator),
    (2, other_ending),
)  # fmt: skip
_WEIGHTS, _WAYS = zip(*MUTATIONS, strict=True)


# ── on the wire ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _framed(text: str) -> str:
    return VT + text + FS + "\r"


Wire = Callable[[random.Random, str, str, int], str]
_WIRES: dict[str, Wire] = {
    "cut": lambda rng, text, other, at: VT + text[:at],
    "cut and sent again": lambda rng, text, other, at: VT + text[:at] + _framed(text),
    "nested": lambda rng, text, other, at: VT + text[:at] + _framed(other) + text[at:] + FS + "\r",
    "ends early": lambda rng, text, other, at: VT + text[:at] + FS + "\r" + text[at:] + FS + "\r",
    "truncated": lambda rng, text, other, at: _framed(text[:at]),
    "no final CR": lambda rng, text, other, at: VT + text + FS,
    "LF behind the end": lambda rng, text, other, at: VT + text + FS + "\n",
    "two in one": lambda rng, text, other, at: _framed(text + other),
    "two at once": lambda rng, text, other, at: _framed(text) + _framed(other),
    "the same twice": lambda rng, text, other, at: _framed(text) * 2,
    "junk around": lambda rng, text, other, at: "\x00junk\x06" + _framed(text) + "\r\n\r\n",
    "many starts": lambda rng, text, other, at: VT * rng.choice((2, 50)) + text + FS + "\r",
    "many ends": lambda rng, text, other, at: _framed(text) + (FS + "\r") * rng.choice((2, 50)),
    "no start": lambda rng, text, other, at: text + FS + "\r",
    "nearly empty": lambda rng, text, other, at: _framed(rng.choice(v.NEARLY_EMPTY)),
    "byte order mark": lambda rng, text, other, at: _framed("\xef\xbb\xbf" + text),
    "UTF-16": lambda rng, text, other, at: _framed(text.encode("utf-16").decode("latin-1")),
    "noise": lambda rng, text, other, at: _framed(rng.randbytes(rng.randrange(1, 400)).decode("latin-1")),
    "no final line end": lambda rng, text, other, at: _framed(text.rstrip("\r\n")),
}


def _in_a_batch(rng: random.Random, texts: list[str], number: int) -> str:
    """The envelope of a batch, with a count that may be wrong and parts that may be missing."""
    file = rng.random() < 0.4
    parts = [f"FHS|^~\\&|A|B|C|D|20261120||||F{number}\r"] * file
    parts += [f"BHS|^~\\&|A|B|C|D|20261120||||B{number}\r"] * (not file or rng.random() < 0.8)
    parts += texts
    parts += [f"BTS|{rng.choice((len(texts), 0, 99, 'x'))}\r"] * (rng.random() < 0.8)
    parts += ["FTS|1\r"] * (file and rng.random() < 0.8)
    if rng.random() < 0.1:
        rng.shuffle(parts)
    return "".join(parts)


def _large(rng: random.Random, text: str) -> tuple[str, str]:
    match rng.randrange(5):
        case 0:
            return text + f"{rng.choice(v.NAMES)}|1||x\r" * MANY, "100,000 segments"
        case 1:
            return text + "NTE|1||" + "x" * (MAX_BYTES // 2) + "\r", "a field of a megabyte"
        case 2:
            return text.rstrip("\r") + "|" * MANY + "\r", "100,000 fields"
        case 3:
            return text + "ZZZ|" + "a^b~" * MANY + "\r", "100,000 repetitions"
        case _:
            return text + "x" * MAX_BYTES + "\r", "too large"


def _draft(rng: random.Random, control_id: str) -> Draft:
    lines = [line.split("|") for line in rng.choice(bases()).split("\r") if line]
    draft = Draft(rng, control_id, lines)
    draft.header(10, control_id)
    return draft


def _broken(rng: random.Random, control_id: str, ways: int) -> tuple[str, list[str]]:
    draft = _draft(rng, control_id)
    names: list[str] = []
    for way in rng.choices(_WAYS, _WEIGHTS, k=ways):
        if draft.lines and draft.lines[0]:
            way(draft)
            names.append(way.__name__)
    return draft.text(), names


def case(seed: int, number: int) -> Case:
    """The case of this number."""
    rng = random.Random(f"{seed}:{number}")
    own = f"Z{seed}-{number}"
    text, how = _broken(rng, f"{own}-1", rng.choice((0, 1, 1, 1, 2, 2, 3, 5)))
    chance = rng.random()
    if rng.randrange(RARE) == 0:
        text, name = _large(rng, text)
        wire = _framed(text)
        how.append(name)
    elif chance < 0.25:
        other, _ = _broken(rng, f"{own}-2", rng.choice((0, 0, 1)))
        name = rng.choice(tuple(_WIRES))
        wire = _WIRES[name](rng, text, other, rng.randrange(len(text) + 1))
        how.append(name)
    elif chance < 0.29:
        texts = [
            text,
            *(_broken(rng, f"{own}-{part}", rng.choice((0, 1)))[0] for part in range(2, rng.randrange(3, 6))),
        ]
        wire = _framed(_in_a_batch(rng, texts, number))
        how.append("batch")
    else:
        wire = _framed(text)
    data = wire.encode("latin-1", errors="replace")
    cuts = tuple(sorted(rng.randrange(len(data) + 1) for _ in range(3))) if chance > 0.98 else ()
    return Case(number, data, tuple(how), cuts)
