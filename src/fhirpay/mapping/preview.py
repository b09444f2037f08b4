"""A file of messages → what each would become, without storing anything. `fhirpay map` prints it, the tests keep it.

Each message gives a Bundle, or the OperationOutcome that says why there is none; lines that would wait for a human
and warnings are an OperationOutcome beside the Bundle. One bad message doesn't stop the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Facility, Interface
from ..errors import ConfigInvalid, FhirpayError
from ..fhir.outcome import operation_outcome
from ..hl7.batch import read_batch
from ..hl7.reader import Message
from .engine import map_groups
from .loader import Maps, load
from .mapped import Mapped, Parked
from .trace import Trace


@dataclass(frozen=True, slots=True)
class MappedResult:
    """One message of the file. Exactly one of `mapped` and `error` is there."""

    position: int  # in the file, from 1
    label: str  # DFT^P03
    control_id: str
    mapped: Mapped | None
    error: FhirpayError | None
    trace: Trace | None = None
    message: Message | None = None  # None: it can't be read as one
    data: bytes = b""

    @property
    def ok(self) -> bool:
        """Everything in the message would apply."""
        return self.mapped is not None and not self.mapped.parked

    @property
    def bundle(self) -> dict[str, Any] | None:
        return self.mapped.bundle if self.mapped is not None else None

    @property
    def outcome(self) -> dict[str, Any] | None:
        """The OperationOutcome: why there is no Bundle, else what is parked and warned of; None when all is well."""
        if self.error is not None:
            return operation_outcome(self.error)
        assert self.mapped is not None
        if not self.mapped.parked and not self.mapped.warnings:
            return None
        warnings = [_addressed(text) for text in self.mapped.warnings]
        outcome = (
            operation_outcome(warnings=warnings) if warnings else {"resourceType": "OperationOutcome", "issue": []}
        )
        return {**outcome, "issue": [_parked(one) for one in self.mapped.parked] + outcome["issue"]}

    def resource(self) -> dict[str, Any]:
        """What `fhirpay map` prints: the Bundle, or the OperationOutcome that says why there is none."""
        return self.bundle or self.outcome or {}


def files_in(folder: Path) -> list[Path]:
    """The files of messages in a folder, by name. Raises ConfigInvalid when there are none."""
    found = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    files = [path for path in found if not path.name.startswith(".") and path.suffix not in (".json", ".md", ".owed")]
    if not files:
        raise ConfigInvalid(f"{folder} holds no messages: a folder of files of HL7v2 is wanted")
    return sorted(files)


def read_file(path: Path) -> bytes:
    """Raises ConfigInvalid when it can't be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigInvalid(f"{path} can't be read: {error.strerror}") from None


def map_file(
    path: Path, interface: Interface, facility: Facility, *, explain: bool = False, maps: Maps | None = None
) -> list[MappedResult]:
    """Map every message of a file (one message, or a batch). Raises ConfigInvalid when the maps are wrong."""
    return map_data(read_file(path), interface, facility, explain=explain, maps=maps)


def map_data(
    data: bytes, interface: Interface, facility: Facility, *, explain: bool = False, maps: Maps | None = None
) -> list[MappedResult]:
    """As `map_file`, of bytes."""
    maps = maps if maps is not None else load(interface.mapping)
    pieces = read_batch(data).messages or [b""]
    return [_one(number, piece, interface, facility, explain, maps) for number, piece in enumerate(pieces, start=1)]


def failed(results: Sequence[MappedResult]) -> bool:
    """Whether a command that shows these should end with a non-zero status."""
    return any(result.error is not None for result in results)


def _one(
    position: int, piece: bytes, interface: Interface, facility: Facility, explain: bool, maps: Maps
) -> MappedResult:
    label = control_id = ""
    trace = Trace() if explain else None
    message: Message | None = None
    try:
        message = Message.parse(piece, charset_fallback=interface.charset_fallback, charset=interface.charset)
        label, control_id = message.label, message.control_id
        mapped = Mapped.together(map_groups(message, interface, facility, maps=maps, trace=trace))
    except ConfigInvalid:
        raise
    except FhirpayError as error:
        return MappedResult(position, label, control_id, None, error, trace, message, piece)
    return MappedResult(position, label, control_id, mapped, None, trace, message, piece)


def _parked(one: Parked) -> dict[str, Any]:
    return {
        "severity": "error",
        "code": "business-rule",
        "details": {"text": f"this line waits for a human: {one.reason}"},
        "diagnostics": one.code,
        "location": [one.location],
    }


def _addressed(warning: str) -> tuple[str, str]:
    """`FT1[2]-2: text` as address and text."""
    address, _, text = warning.partition(": ")
    return (address, text) if text and " " not in address else ("", warning)
