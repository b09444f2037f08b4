"""What has become of each frame that was sent: stored, by its hash, or answered with a reason. The fuzz's oracle.

Reads bytes by itself, with nothing of ours: MLLP's blocks by one regular expression, an answer by its separators. What
the listener said is settled at once (`Accounts.settle`), what it says it has stored when the inbox has been read
(`Accounts.found`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256

from fuzz_grammar import Case

_FRAME = re.compile(rb"\x0b([^\x0b\x1c]*)\x1c")  # a VT inside begins anew, what is outside is nothing
_BREAK = re.compile(rb"\r\n|\r|\n")
_SEGMENT_END = re.compile(rb"\r|\n(?=[A-Z][A-Z0-9]{2}[^A-Za-z0-9\s])")
_NO_MSH_2 = b"the encoding characters are missing"
_ENVELOPE = re.compile(rb"(FHS|BHS|BTS|FTS)([^A-Za-z0-9]|\Z)")
GOOD = (b"AA", b"CA")
BATCH_MAX = 5_000  # messages, as the README says
_CARD_LIKE = re.compile(rb"[2-6][0-9 \-]{11,}[0-9]")
CARD = b"a card number was removed"


def frames_in(stream: bytes) -> list[bytes]:
    """The messages of a stream of MLLP."""
    return _FRAME.findall(stream)


def lines_of(text: bytes) -> list[bytes]:
    return [line for line in _BREAK.split(text.removeprefix(b"\xef\xbb\xbf")) if line.strip()]


def digest(message: bytes) -> bytes:
    """Of a message without its line ends and MSH-7 and 8, which engines renew when they send it again."""
    first, *rest = lines_of(message) or [b""]
    fields = first.split(first[3:4]) if first[:3] == b"MSH" and len(first) > 3 else [first]
    fields[6:8] = [b""] * len(fields[6:8])
    return sha256(b"\r".join([b"\0".join(fields), *rest])).digest()


def messages_in(batch: bytes) -> list[bytes]:
    found: list[list[bytes]] = []
    begun = False
    for line in (one.strip(b"\x0b\x1c\x1a") for one in lines_of(batch)):
        if not line.strip():
            continue
        if _ENVELOPE.match(line):
            begun = False
            continue
        if (line[:3] == b"MSH" and not line[3:4].decode("latin-1").isalnum()) or not begun:
            found.append([])
            begun = True
        found[-1].append(line)
    return [b"\r".join(lines) + b"\r" for lines in found]


@dataclass(frozen=True, slots=True)
class Answer:
    """MSA-1, MSA-2, and whether it gives a reason."""

    code: bytes
    about: bytes
    reason: bool
    card: bool


def answers_in(frame: bytes) -> list[Answer]:
    """The acknowledgements of one frame of the listener's: several where it answers a batch."""
    found: list[Answer] = []
    separator = b"|"
    for line in frame.split(b"\r"):
        fields = line.split(separator)
        if line[:3] == b"MSH" and len(line) > 3:
            separator = line[3:4]
        elif fields[0] == b"MSA":
            fields += [b""] * 4
            found.append(Answer(fields[1], fields[2], bool(fields[3]), CARD in fields[3]))
        elif fields[0] == b"ERR" and found:
            last = found[-1]
            found[-1] = Answer(last.code, last.about, last.reason or len(line) > 4, last.card or CARD in line)
    return found


@dataclass
class Accounts:
    """What was sent, and what is known of it."""

    counts: Counter[str] = field(default_factory=Counter[str])
    problems: list[str] = field(default_factory=list[str])
    _stored: list[tuple[int, bytes, bytes, str]] = field(default_factory=list[tuple[int, bytes, bytes, str]])

    def problem(self, case: Case, says: str) -> None:
        self.problems.append(f"case {case.number} ({', '.join(case.how) or 'whole'}): {says}")

    def settle(self, case: Case, replies: Sequence[bytes]) -> None:
        """Each frame of the case by what the listener sent before it answered what was sent after the case."""
        frames = frames_in(case.data)
        self.counts["frames"] += len(frames)
        self.counts["given up by the sender"] += case.data.count(b"\x0b") - len(frames)
        pairs = paired(frames, replies)
        if pairs is None:
            self.problem(case, f"{len(replies)} answers to {len(frames)} frames, and not about them: {list(replies)!r}")
            return
        for frame, reply in pairs:
            if reply is None:
                self._unanswered(case, frame)
            else:
                self._answered(case, frame, reply)

    def _answered(self, case: Case, frame: bytes, reply: bytes) -> None:
        told = answers_in(reply)
        if not reply.startswith(b"BHS"):
            self._told(case, frame, told)
            return
        messages = messages_in(frame)
        self.counts["batches"] += 1
        if len(messages) > BATCH_MAX:
            self.counts["batches refused as a whole"] += 1
            self._refused_whole(case, told)
            return
        self.counts["frames"] += len(messages) - 1
        pairs = paired(messages, re.split(rb"\r(?=MSH)", reply)[1:])
        if pairs is None:
            self.problem(case, f"{len(told)} answers to a batch of {len(messages)}: {reply!r}")
        for message, one in pairs or ():
            if one is None:
                self._unanswered(case, message)
            else:
                self._told(case, message, answers_in(one))

    def _refused_whole(self, case: Case, told: list[Answer]) -> None:
        self.counts["refused with a reason"] += 1
        if len(told) != 1 or told[0].code in GOOD or not told[0].reason:
            self.problem(case, f"{len(told)} answers to a batch of more than {BATCH_MAX}: {told[:3]}")

    def _told(self, case: Case, frame: bytes, told: list[Answer]) -> None:
        if len(told) != 1:
            self.problem(case, f"{len(told)} acknowledgements in one answer")
        elif told[0].code not in GOOD:
            if not told[0].reason:
                self.problem(case, f"{told[0].code!r} without a reason")
            self.counts["refused with a reason"] += 1
        elif told[0].card:
            self._stored.append((case.number, b"", told[0].about, "accepted"))
        else:
            self._stored.append((case.number, digest(frame), told[0].about, "accepted"))

    def _unanswered(self, case: Case, frame: bytes) -> None:
        kind = "unanswered" if not silence_is_asked_for(frame) else "silent"
        if _CARD_LIKE.search(frame):  # it may have been stored without
            fields = [*_header(frame), *[b""] * 10]
            self._stored.append((case.number, b"", fields[9], kind))
        else:
            self._stored.append((case.number, digest(frame), b"", kind))

    def found(self, stored: Iterable[tuple[str, bytes]]) -> None:
        """Control ids and bodies of the inbox: each frame that was said to be stored must be among them."""
        digests: set[bytes] = set()
        ids: set[bytes] = set()
        for control_id, body in stored:
            digests.add(digest(body))
            ids.add(control_id.encode("ascii", errors="ignore"))
        for number, wanted, about, kind in self._stored:
            if wanted in digests if wanted else bytes(one for one in about if one < 128) in ids:
                self.counts["stored" if kind == "accepted" else "stored without a word"] += 1
            elif kind == "silent":
                self.counts["refused in silence, as its header asks"] += 1
            else:
                self.problems.append(f"case {number}: {kind}, and not in the inbox ({about!r})")
        self._stored.clear()


def _known(about: bytes) -> bytes:
    """Of the control id in an answer, what is sure: '?' stands for a byte that could not be read."""
    return about.split(b"?")[0]


def paired(frames: Sequence[bytes], replies: Sequence[bytes]) -> list[tuple[bytes, bytes | None]] | None:
    """Each frame with its answer. Answers come in the order of the frames; which frames have none is what explains
    most: one whose header may ask for silence sooner than another. None where the answers are about something else.
    """
    if len(frames) == len(replies):
        fits = all(_doubt(frame, reply) is not None for frame, reply in zip(frames, replies, strict=True))
        return list(zip(frames, replies, strict=True)) if fits else None
    asks = [_may_ask_for_silence(frame) for frame in frames]

    @cache
    def best(at: int, to: int) -> tuple[int, tuple[bool, ...]]:
        """Frames from `at` on with replies from `to` on: what stays unexplained, and which frames are answered."""
        if at == len(frames):
            return (0 if to == len(replies) else 10_000), ()
        missing, rest = best(at + 1, to)
        found = missing + 10 * (not asks[at]), (False, *rest)
        if to < len(replies) and (doubt := _doubt(frames[at], replies[to])) is not None:
            missing, rest = best(at + 1, to + 1)
            found = min(found, (missing + doubt, (True, *rest)))
        return found

    missing, answered = best(0, 0)
    if missing >= 10_000:
        return None
    left = iter(replies)
    return [(frame, next(left) if one else None) for frame, one in zip(frames, answered, strict=True)]


def _doubt(frame: bytes, reply: bytes) -> int | None:
    """How unlikely it is that this answer is about this frame: 0 where it names its id; None: it is not."""
    told = answers_in(reply)
    if not (told or reply.startswith(b"BHS")) or not all(_known(one.about) in frame for one in told):
        return None
    if _NO_MSH_2 in reply and frame[3:4] != frame[4:5]:  # said only where MSH-2 is empty
        return None
    fields = _header(frame)
    own = fields[9] if len(fields) > 9 else b""
    if len(told) != 1 or _known(told[0].about) == _known(own):
        return 0
    return 2 if not told[0].about and frame.startswith(b"MSH|^~\\&|") else 1


def _may_ask_for_silence(frame: bytes) -> bool:
    fields = _header(frame)
    return any(fields[14:16]) or (len(fields) > 8 and fields[8][:3] == b"ACK")


def _header(frame: bytes) -> list[bytes]:
    """MSH's fields; none where it has no separator."""
    # A lone LF between CRs is a line break in a text, not the end of the segment, unless a segment follows.
    text = frame.removeprefix(b"\xef\xbb\xbf")
    lines = _SEGMENT_END.split(text) if b"\r" in frame else lines_of(frame)
    header = next((line.strip(b"\n") for line in lines if line.strip()), b"")
    return header.split(header[3:4]) if header[:3] == b"MSH" and len(header) > 3 else []


def silence_is_asked_for(frame: bytes) -> bool:
    """MSH-15 and 16 say that a refusal isn't answered, or it is an acknowledgement itself."""
    fields = _header(frame)
    if len(fields) > 8 and fields[8][:3] == b"ACK":
        return True
    accept, application = (fields[at].upper() if len(fields) > at else b"" for at in (14, 15))
    return bool(accept or application) and accept in _UNLESS and application in _UNLESS


_UNLESS = (b"NE", b"SU", b"")
