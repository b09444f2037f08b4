"""What may be wrong with the bytes: frames, batches, character sets, delimiters, escapes, what can't be read at all."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..errors import CodeInvalid, FhirpayError, TooLarge
from ..hl7.charsets import BOM, codec_of
from ..hl7.delimiters import DEFAULT, strange_escapes
from .finding import Hit, Severity, finds
from .sample import Read, Sample

BLOCKS, ASK, NOTE = Severity.BLOCKS, Severity.ASK, Severity.NOTE

_CONTROLS = re.compile(rb"[\x00-\x08\x0c\x0e-\x1b\x1d-\x1f]")
_LEFT_OUT = frozenset({"SFT", "ROL", "PRT", "ARV", "UAC"})  # known, and nothing in them is needed for money


def _own_place(error: FhirpayError, *places: str) -> bool:
    return (error.location or "").startswith(places)


def _charset_errors(read: Read) -> bool:
    return read.message is None and read.refusal is not None and _own_place(read.refusal, "MSH-18")


def _delimiter_errors(read: Read) -> bool:
    return read.message is None and read.refusal is not None and _own_place(read.refusal, "MSH-1", "MSH-2")


@finds(
    "unreadable",
    BLOCKS,
    "These can't be read as messages: {what}. They would be answered AE and stay with the sender.",
    "Is the sample complete, and is each message one frame that begins with MSH?",
)
def unreadable(sample: Sample) -> Iterator[Hit]:
    for read in sample.reads:
        if read.message is None and not _charset_errors(read) and not _delimiter_errors(read):
            assert read.refusal is not None
            yield Hit(read.at(read.refusal.location or ""), read.refusal.message)


@finds(
    "nothing-read",
    BLOCKS,
    "The sample holds no message at all.",
    "Please export messages as they go over the wire: MSH first, one segment a line.",
)
def nothing_read(sample: Sample) -> Iterator[Hit]:
    if not sample.reads:
        yield Hit("the sample")


@finds(
    "message-too-large",
    BLOCKS,
    "A message is larger than the interface takes; it would be answered AE.",
    "How large can a message become, and what makes it so (documents, images)?",
    "max_bytes",
)
def message_too_large(sample: Sample) -> Iterator[Hit]:
    for read in sample.reads:
        if isinstance(read.refusal, TooLarge):
            yield Hit(read.at())


@finds(
    "delimiters-wrong",
    BLOCKS,
    "MSH-1 and MSH-2 don't name usable delimiters: {what}. The message can't be taken apart.",
    "Write MSH|^~\\&| or other punctuation, each character once, and none that is a letter or a digit.",
)
def delimiters_wrong(sample: Sample) -> Iterator[Hit]:
    for read in sample.reads:
        if _delimiter_errors(read):
            assert read.refusal is not None
            yield Hit(read.at(read.refusal.location or ""), read.refusal.message)


@finds(
    "delimiters-unusual",
    NOTE,
    "Other delimiters than |^~\\& are used: {what}. They are read as MSH-1 and MSH-2 say.",
    "Is it so in production too, and does every message of the feed do it?",
)
def delimiters_unusual(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        assert read.message is not None
        marks = read.message.delimiters
        own = (marks.field, marks.component, marks.repetition, marks.escape, marks.subcomponent)
        usual = (DEFAULT.field, DEFAULT.component, DEFAULT.repetition, DEFAULT.escape, DEFAULT.subcomponent)
        if any(mark and mark != wanted for mark, wanted in zip(own, usual, strict=True)):
            yield Hit(read.at("MSH-2"), marks.field + marks.encoding_characters)


@finds(
    "delimiters-short",
    ASK,
    "MSH-2 names fewer than four characters ({what}): what it leaves out is not used in the message, so an escape or a "
    "subcomponent (a currency: 100&USD) would be read as plain text.",
    "Please write ^~\\& in MSH-2, or confirm that the rest is never used.",
)
def delimiters_short(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        assert read.message is not None
        marks = read.message.delimiters
        if not (marks.repetition and marks.escape and marks.subcomponent):
            yield Hit(read.at("MSH-2"), marks.encoding_characters)


@finds(
    "escape-unknown",
    ASK,
    "The escape character stands in text where it begins no known sequence (as in a Windows path): the text is kept as "
    "it is.",
    "Is a backslash in text escaped as \\E\\? Which sequences of your own (\\Z..\\) or character set switches "
    "are sent?",
)
def escape_unknown(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        assert read.message is not None
        marks = read.message.delimiters
        for segment, line in zip(read.message.all_segments(), read.message.lines, strict=True):
            text = line.split(marks.field, 2)[-1] if segment.name == "MSH" else line
            if strange_escapes(text, marks):
                yield Hit(read.at(segment.address()))


@finds(
    "charset-undeclared",
    ASK,
    "There are letters beyond ASCII and MSH-18 is empty: read as UTF-8 where that fits, else by the fallback ({what}). "
    "A wrong guess spells names wrongly on statements.",
    "In which character set do you write? Please say it in MSH-18 (UNICODE UTF-8, 8859/1).",
    "charset_fallback",
)
def charset_undeclared(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        assert read.message is not None
        if not read.message.get("MSH-18") and any(byte > 0x7F for byte in read.data.removeprefix(BOM)):
            yield Hit(read.at("MSH-18"), f"read as {read.message.encoding}")


@finds(
    "charset-unknown",
    BLOCKS,
    "MSH-18 names a character set that isn't read here: {what}.",
    "Can you send UNICODE UTF-8?",
)
def charset_unknown(sample: Sample) -> Iterator[Hit]:
    for read in sample.reads:
        if _charset_errors(read) and isinstance(read.refusal, CodeInvalid):
            yield Hit(read.at("MSH-18"), read.refusal.message)


@finds(
    "charset-wrong",
    BLOCKS,
    "The bytes are not what MSH-18 says: {what}. The message would be answered AE.",
    "Which character set is really written? Does an engine on the way convert it without changing MSH-18?",
)
def charset_wrong(sample: Sample) -> Iterator[Hit]:
    for read in sample.reads:
        if _charset_errors(read) and not isinstance(read.refusal, CodeInvalid):
            assert read.refusal is not None
            yield Hit(read.at("MSH-18"), read.refusal.message)


@finds(
    "charset-ascii-broken",
    ASK,
    "MSH-18 says ASCII, and there are letters beyond it.",
    "Please name the character set that is really written.",
    "charset_fallback",
)
def charset_ascii_broken(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        assert read.message is not None
        declared = read.message.get("MSH-18")
        if declared and not codec_of(declared) and any(byte > 0x7F for byte in read.data.removeprefix(BOM)):
            yield Hit(read.at("MSH-18"))


@finds(
    "byte-order-mark",
    NOTE,
    "The text begins with a byte order mark; it is passed over.",
    "Does it come over the wire too, or from the tool that made the file?",
)
def byte_order_mark(sample: Sample) -> Iterator[Hit]:
    for source in sample.sources:
        if source.data.startswith(BOM):
            yield Hit(source.name)


@finds(
    "control-characters",
    ASK,
    "There are control characters in the text (null bytes, tabs of old devices): they are left out of what is kept.",
    "Where do they come from? An id that holds one is refused.",
)
def control_characters(sample: Sample) -> Iterator[Hit]:
    for read in sample.reads:
        if _CONTROLS.search(read.data):
            yield Hit(read.at())


@finds(
    "lines-end-in-lf",
    NOTE,
    "Segments end in LF (or CRLF) instead of CR; they are read all the same.",
    "Is it so over the wire, or only in this file?",
)
def lines_end_in_lf(sample: Sample) -> Iterator[Hit]:
    for source in sample.sources:
        if b"\n" in source.data:
            yield Hit(source.name)


@finds(
    "final-cr-missing",
    NOTE,
    "The last segment doesn't end in CR; it is read all the same.",
    "Is it so over the wire too? Some receivers on the way drop the last segment then.",
)
def final_cr_missing(sample: Sample) -> Iterator[Hit]:
    for source in sample.sources:
        if source.data.strip() and not source.data.rstrip(b"\x1c\x1a\x0b").endswith((b"\r", b"\n", b"\x1c\r")):
            yield Hit(source.name)


@finds(
    "z-segments",
    ASK,
    "There are segments of the sender's own: {what}. They are kept with the message and nothing is read from them.",
    "What do they hold? A copay, an amount due or a class in them has to be mapped (mappings/<site>).",
    "mapping",
)
def z_segments(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        assert read.message is not None
        for segment in read.message.all_segments():
            if segment.name.startswith("Z"):
                yield Hit(read.at(segment.address()), segment.name)


@finds(
    "segments-unread",
    NOTE,
    "There are segments that no map reads: {what}. They are kept with the message; nothing in them has to do "
    "with money.",
    "Does any of them say who pays or what is owed?",
)
def segments_unread(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        assert read.message is not None
        for segment in read.message.all_segments():
            if segment.name in _LEFT_OUT:
                yield Hit(read.at(segment.address()), segment.name)


@finds(
    "card-number",
    BLOCKS,
    "There is what looks like a payment card's number. It would be masked before anything is stored, and the sender "
    "would be told; but it is in your feed and in its archive.",
    "Where does it come from, and can it be kept out of the feed? Card numbers in messages are a PCI matter.",
)
def card_number(sample: Sample) -> Iterator[Hit]:
    for read in sample.reads:
        for place in read.admitted.redactions if read.admitted is not None else ():
            yield Hit(read.at(place))


@finds(
    "batch-count-wrong",
    ASK,
    "A batch doesn't add up: {what}.",
    "Is the file complete? Every message in it would be taken, and the difference be on the worklist.",
)
def batch_count_wrong(sample: Sample) -> Iterator[Hit]:
    for name, warning in sample.batch_warnings:
        yield Hit(name, warning)


@finds(
    "batch-trailer-missing",
    NOTE,
    "A batch or a file has a header and no trailer: whether it is complete can't be told.",
    "Please send BTS and FTS with their counts.",
)
def batch_trailer_missing(sample: Sample) -> Iterator[Hit]:
    for source in sample.sources:
        names = re.findall(rb"(?:^|[\r\n])(FHS|BHS|BTS|FTS)\b", source.data)
        if names.count(b"BHS") > names.count(b"BTS") or names.count(b"FHS") > names.count(b"FTS"):
            yield Hit(source.name)
