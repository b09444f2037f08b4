"""What may be wrong in MSH: types, versions, processing ids, control ids, senders, wishes for acknowledgements."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..errors import EventUnsupported, MessageUnsupported, RequiredMissing, VersionUnsupported
from ..inbox.gate import VERSIONS
from .finding import Hit, Severity, finds
from .sample import Read, Sample, shared

BLOCKS, ASK, NOTE = Severity.BLOCKS, Severity.ASK, Severity.NOTE

_ENOUGH = 20  # messages; fewer show a habit by chance at best


def _msh(read: Read, field: int) -> str:
    return read.get(f"MSH-{field}")


def _version(read: Read) -> str:
    return read.message.version if read.message is not None else ""


def _label(read: Read) -> str:
    return read.message.label if read.message is not None else ""


def _mixed(sample: Sample, value: Callable[[Read], str], address: str) -> Iterator[Hit]:
    """The first message of each value, where there is more than one."""
    by_value = shared(sample.parsed, value)
    if len(by_value) > 1:
        for text, reads in by_value.items():
            yield Hit(reads[0].at(address), f"{text[:40]} ({len(reads)})")


@finds(
    "sample-small",
    NOTE,
    "The sample has fewer than 20 messages: rare habits (credits, merges, children, a second insurance) may not "
    "be in it.",
    "Please send a week of messages, with credits, copays, self-payers and children among them.",
)
def sample_small(sample: Sample) -> Iterator[Hit]:
    if 0 < len(sample.reads) < _ENOUGH:
        yield Hit("the sample", f"{len(sample.reads)} messages")


@finds(
    "no-charges",
    ASK,
    "No message of the sample says what is charged (DFT): nothing can be said of amounts.",
    "Does this feed carry charges? Then please send some; else say which feed does.",
)
def no_charges(sample: Sample) -> Iterator[Hit]:
    if sample.parsed and not sample.billing:
        yield Hit("the sample")


@finds(
    "type-not-taken",
    ASK,
    "There are message types that are not taken: {what}. They would be answered AR 200 or 201.",
    "Can the sender's filter leave them out? If money depends on one of them, tell us.",
)
def type_not_taken(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        error = read.refusal or read.failure
        if isinstance(error, MessageUnsupported | EventUnsupported) and _version(read) in VERSIONS:
            yield Hit(read.at("MSH-9"), _label(read))


@finds(
    "event-in-evn",
    NOTE,
    "MSH-9 names no event; it is taken from EVN-1.",
    "Please write both in MSH-9: DFT^P03.",
)
def event_in_evn(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        if not read.get("MSH-9.2") and read.get("EVN-1"):
            yield Hit(read.at("MSH-9.2"))


@finds(
    "version-not-taken",
    BLOCKS,
    "MSH-12 names a version that is not taken ({what}): answered AR 203. Taken are 2.1 to 2.8.2.",
    "Which version do you write? Please say it in MSH-12.",
)
def version_not_taken(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        if isinstance(read.refusal, VersionUnsupported) or _version(read) not in VERSIONS:
            yield Hit(read.at("MSH-12"), _version(read)[:20] or "none")


@finds(
    "versions-mixed",
    ASK,
    "Messages of one feed say different versions: {what}.",
    "Do several systems write into this feed? Each may have other habits: better an interface of its own for each.",
)
def versions_mixed(sample: Sample) -> Iterator[Hit]:
    yield from _mixed(sample, _version, "MSH-12")


@finds(
    "processing-id-other",
    BLOCKS,
    "MSH-11 says something else than the interface takes ({what}): answered AR 202. That is meant to keep test "
    "messages "
    "out of live books.",
    "Is this a sample of the test system? In production MSH-11 has to be P.",
    "processing",
)
def processing_id_other(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        assert read.message is not None
        if read.message.processing_id != sample.interface.processing:
            yield Hit(read.at("MSH-11"), read.message.processing_id[:20] or "nothing")


@finds(
    "control-id-missing",
    BLOCKS,
    "MSH-10 is empty: the message can't be told from another one, nor be acknowledged. Answered AE 101.",
    "Please number each message in MSH-10.",
)
def control_id_missing(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        if not _msh(read, 10):
            yield Hit(read.at("MSH-10"))


def _by_control_id(sample: Sample) -> Iterator[list[Read]]:
    for reads in shared(sample.parsed, lambda read: "|".join(_msh(read, n) for n in (3, 4, 5, 6, 10))).values():
        if len(reads) > 1 and _msh(reads[0], 10):
            yield reads


@finds(
    "control-id-reused",
    ASK,
    "The same MSH-10 comes with different contents. Both are taken, in order; with unique_ids the second would be "
    "answered AE 205.",
    "Does the counter restart (each night, each file)? Or is it a correction sent under the old number?",
    "unique_ids",
)
def control_id_reused(sample: Sample) -> Iterator[Hit]:
    for reads in _by_control_id(sample):
        if len({read.admitted.body_hash for read in reads if read.admitted is not None}) > 1:
            yield from (Hit(read.at("MSH-10")) for read in reads)


@finds(
    "message-repeated",
    NOTE,
    "The same message is in the sample more than once. It counts once, and the first answer is given again.",
    "Is it a resend after a lost acknowledgement? How long do you wait for one?",
)
def message_repeated(sample: Sample) -> Iterator[Hit]:
    for reads in _by_control_id(sample):
        hashes = [read.admitted.body_hash for read in reads if read.admitted is not None]
        if len(set(hashes)) < len(hashes):
            yield from (Hit(read.at()) for read in reads)


@finds(
    "senders-mixed",
    ASK,
    "More than one application or facility sends into this feed (MSH-3, MSH-4): {what}.",
    "Do they share account and transaction numbers? If not, each needs an interface of its own.",
    "namespace",
)
def senders_mixed(sample: Sample) -> Iterator[Hit]:
    yield from _mixed(sample, lambda read: "/".join(filter(None, (_msh(read, 3), _msh(read, 4)))), "MSH-3")


@finds(
    "sender-unnamed",
    NOTE,
    "MSH-3 and MSH-4 are both empty: nothing says who sent it. Charge numbers are kept under an empty sender.",
    "Please name the sending application and facility.",
)
def sender_unnamed(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        if not _msh(read, 3) and not _msh(read, 4):
            yield Hit(read.at("MSH-3"))


@finds(
    "ack-wishes",
    ASK,
    "MSH-15 and MSH-16 ask for enhanced acknowledgements ({what}): CA once it is stored, then AA or AE once it "
    "has been "
    "applied, on the same connection.",
    "Does your engine wait for both? Most only wait for the first: then leave MSH-15 and MSH-16 empty.",
)
def ack_wishes(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        if _msh(read, 15) or _msh(read, 16):
            yield Hit(read.at("MSH-15"), f"{_msh(read, 15) or 'nothing'}/{_msh(read, 16) or 'nothing'}")


@finds(
    "ack-never",
    BLOCKS,
    "MSH-15 says NE: the sender wants to hear nothing when its message has been stored, nor when it was "
    "refused. A lost "
    "or refused message would not be noticed.",
    "Can it be AL, or empty (which means: always answer)?",
)
def ack_never(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        if _msh(read, 15) == "NE" and _msh(read, 16) in ("NE", ""):
            yield Hit(read.at("MSH-15"))


@finds(
    "required-empty",
    BLOCKS,
    "A field that this interface requires is empty ({what}): answered AE 101.",
    "Is it really always known when the message is sent?",
    "required",
)
def required_empty(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        error = read.refusal
        if isinstance(error, RequiredMissing) and error.message.endswith("is required on this interface"):
            yield Hit(read.at(error.location or ""), error.message.split(" ")[0])
