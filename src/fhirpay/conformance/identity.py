"""Whether patients, accounts, visits and charges can be told apart by what the feed sends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..hl7.assigner import assigner_system
from ..mapping.paths import clean
from .finding import Hit, Severity, finds
from .sample import Line, Read, Sample, shared

BLOCKS, ASK, NOTE = Severity.BLOCKS, Severity.ASK, Severity.NOTE

ACCOUNT_FIELDS = ("PID-18", "PV1-19", "PV1-50", "GT1-2")
_PLACEHOLDERS = frozenset("0 00 000 0000 00000 1 999 9999 99999 999999 NONE UNKNOWN UNK NA N/A NULL TEST TBD X".split())
_TEST_NAMES = frozenset("TEST ZZTEST TESTPATIENT PATIENTTEST DUMMY ZZZ DONOTUSE".split())


def patient_of(sample: Sample, read: Read) -> str:
    """The identifier that the patient is kept under; '' where there is none."""
    for segment in read.segments("PID"):
        if value := clean(segment.get(3)):
            return f"{assigner_system(segment, 3, 1, sample.interface.system)}|{value}"
    return ""


def suitable(sample: Sample, path: str) -> str:
    """'' when this field could name the account in all billing messages, else why not."""
    reads = sample.billing
    valued = [read for read in reads if read.get(path)]
    if not valued:
        return "is always empty"
    if len(valued) < len(reads):
        return f"is empty in {len(reads) - len(valued)} of {len(reads)}"
    shared_by = [found for found in shared(reads, lambda read: read.get(path)).values() if _patients(sample, found) > 1]
    return f"is shared by patients in {len(shared_by)} numbers" if shared_by else ""


def _patients(sample: Sample, reads: list[Read]) -> int:
    return len({key for read in reads if (key := patient_of(sample, read))})


def _advice(sample: Sample) -> str:
    found = {path: suitable(sample, path) for path in ACCOUNT_FIELDS}
    good = [path for path, why in found.items() if not why]
    says = "would work: " + ", ".join(good) if good else "none of the four works"
    return "; ".join([says, *(f"{path} {why}" for path, why in found.items() if why)])


@finds(
    "account-key-empty",
    BLOCKS,
    "The field that names the account (account_key) is empty in billing messages: answered AE 101. {what}.",
    "Which field always holds the number of the account that is billed? It has to be in every DFT.",
    "account_key",
)
def account_key_empty(sample: Sample) -> Iterator[Hit]:
    for read in sample.billing:
        if not read.get(sample.interface.account_key):
            yield Hit(read.at(sample.interface.account_key), _advice(sample))


@finds(
    "account-key-shared",
    BLOCKS,
    "The same account number belongs to several patients: one would be asked for the other's charges. {what}.",
    "Is this a guarantor's or a family's account? Which field numbers the single bill?",
    "account_key",
)
def account_key_shared(sample: Sample) -> Iterator[Hit]:
    path = sample.interface.account_key
    for reads in shared(sample.parsed, lambda read: read.get(path)).values():
        if _patients(sample, reads) > 1:
            yield from (Hit(read.at(path), _advice(sample)) for read in reads)


@finds(
    "account-key-other",
    NOTE,
    "account_key is filled everywhere, and so are others ({what}): make sure that the right one is agreed, since the "
    "wrong one bills the wrong account.",
    "Which of these numbers stands on the bill that the patient gets?",
    "account_key",
)
def account_key_other(sample: Sample) -> Iterator[Hit]:
    own = sample.interface.account_key
    if not sample.billing or suitable(sample, own):
        return
    for path in ACCOUNT_FIELDS:
        if path != own and not suitable(sample, path):
            differs = any(read.get(path) != read.get(own) for read in sample.billing)
            yield Hit(path, f"{path}, {'with other numbers' if differs else 'with the same numbers'}")


@finds(
    "account-assigner-missing",
    NOTE,
    "Account numbers come without an assigning authority; they are kept under the interface's own namespace.",
    "Is the number unique across all your facilities? Does another feed number the same accounts?",
    "namespace",
)
def account_assigner_missing(sample: Sample) -> Iterator[Hit]:
    name, field = sample.interface.account_key.split("-")
    for read in sample.billing:
        for segment in read.segments(name)[:1]:
            system = assigner_system(segment, int(field), 1, sample.interface.system)
            if clean(segment.get(int(field))) and system == sample.interface.system:
                yield Hit(read.at(sample.interface.account_key))


@finds(
    "patient-id-missing",
    BLOCKS,
    "PID-3 is empty: the message names no patient and can't be applied.",
    "Which field numbers the patient?",
)
def patient_id_missing(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        if read.segments("PID") and not any(clean(s.get(3)) for s in read.segments("PID")):
            yield Hit(read.at("PID-3"))


@finds(
    "patient-segment-missing",
    BLOCKS,
    "There is no PID: the message names no patient.",
    "Is a segment lost on the way? Please send PID in each message.",
)
def patient_segment_missing(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        if read.message is not None and read.message.type in ("ADT", "DFT", "BAR") and not read.segments("PID"):
            yield Hit(read.at("PID"))


@finds(
    "patient-id-untyped",
    ASK,
    "PID-3 repeats and some repetitions have no type (PID-3.5): the first is taken as the patient's number.",
    "Is the first always the medical record number? Please type each: MR, PI, SS.",
)
def patient_id_untyped(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        for segment in read.segments("PID"):
            count = segment.repetitions(3)
            if count > 1 and any(not segment.get(3, 5, 1, n) for n in range(1, count + 1)):
                yield Hit(read.at("PID-3"))


@finds(
    "id-placeholder",
    BLOCKS,
    "A number that names a patient or an account looks like a placeholder ({what}): everybody who gets it would "
    "be one.",
    "What is written when the number isn't known yet? Please leave the field empty then.",
)
def id_placeholder(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        for path in ("PID-3", sample.interface.account_key):
            if (text := read.get(path).upper()) in _PLACEHOLDERS:
                yield Hit(read.at(path), f"{path} {text}")


@finds(
    "patient-name-missing",
    ASK,
    "The patient's name (PID-5) is empty: nobody could be asked for money by name.",
    "Is the name left out on purpose?",
)
def patient_name_missing(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        if read.segments("PID") and not read.get("PID-5.1") and not read.get("PID-5.2"):
            yield Hit(read.at("PID-5"))


@finds(
    "test-patient",
    ASK,
    "A patient is named like a test patient. On a live interface that patient's charges would be billed.",
    "Are test patients in production? Can they be kept out of the feed?",
)
def test_patient(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        if {read.get("PID-5.1").upper(), read.get("PID-5.2").upper()} & _TEST_NAMES:
            yield Hit(read.at("PID-5"))


@finds(
    "visit-number-missing",
    ASK,
    "There is a PV1 without a visit number (PV1-19, PV1-50): no Encounter is kept, so copays can't be told by visit.",
    "Which field numbers the visit?",
)
def visit_number_missing(sample: Sample) -> Iterator[Hit]:
    for read in sample.parsed:
        if read.segments("PV1") and not read.get("PV1-19") and not read.get("PV1-50"):
            yield Hit(read.at("PV1-19"))


@finds(
    "transaction-id-empty",
    BLOCKS,
    "FT1-2 is empty: a charge that comes again can't be told from a second one, so look-alikes wait for a person.",
    "Which number of yours names the charge line, and stays when it is corrected or sent again?",
)
def transaction_id_empty(sample: Sample) -> Iterator[Hit]:
    for line in sample.lines:
        if not line.text(2):
            yield Hit(line.at(2))


def _direction(line: Line) -> str:
    return "credit" if line.kind == "CD" or line.negative else line.kind


@finds(
    "transaction-id-reused",
    BLOCKS,
    "FT1-2 comes again on the same account with another service, date or amount: the second replaces the first, and "
    "money is lost if they are two charges; the setting says whether it should.",
    "Is FT1-2 unique for each charge, or does it restart (each message, each day)? How are corrections sent?",
    "correction",
)
def transaction_id_reused(sample: Sample) -> Iterator[Hit]:
    seen: dict[tuple[str, ...], list[Line]] = {}
    for line in sample.lines:
        if line.text(2):
            account = line.read.get(sample.interface.account_key)
            sender = (line.read.get("MSH-3"), line.read.get("MSH-4"))
            seen.setdefault((*sender, account, line.text(2), _direction(line)), []).append(line)
    for lines in seen.values():
        if len({(line.text(7), line.text(4)[:8], line.total, line.currency) for line in lines}) > 1:
            yield from (Hit(line.at(2)) for line in lines)


@finds(
    "transaction-id-is-set-id",
    BLOCKS,
    "FT1-2 is always the same as FT1-1, the number of the line in its message: it restarts with each message, "
    "so charges "
    "of two messages on one account replace each other.",
    "Please send the charge's own number in FT1-2.",
)
def transaction_id_is_set_id(sample: Sample) -> Iterator[Hit]:
    numbered = [line for line in sample.lines if line.text(2)]
    if len(numbered) > 1 and all(line.text(2).lstrip("0") == line.text(1).lstrip("0") for line in numbered):
        yield from (Hit(line.at(2)) for line in numbered)


@finds(
    "credit-unlinked",
    NOTE,
    "A credit (CD) names no charge of the sample, neither by FT1-2 nor by FT1-31: if its charge isn't known when it "
    "arrives, it stands by itself and a person looks at it.",
    "Does a credit repeat the FT1-2 of the charge that it takes back?",
)
def credit_unlinked(sample: Sample) -> Iterator[Hit]:
    charges = Counter((line.read.get(sample.interface.account_key), line.text(2)) for line in sample.of_kind("CG"))
    for line in sample.of_kind("CD"):
        if not charges[(line.read.get(sample.interface.account_key), line.text(2))] and not line.text(31):
            yield Hit(line.at(2))
