"""The one exception tree. Raised everywhere; turned into a sender's own language in three places only.

    FhirpayError
    ├─ MessageInvalid        content is wrong at `location`            400  AE 101/102/103
    ├─ MessageUnsupported    we don't take this kind                   422  AR 200-203
    ├─ NotFound              no such thing                             404  parks
    ├─ Conflict              same key, different body; stale version   409  flagged, or AE 205 by profile
    ├─ RuleBroken            over-refund, closed period, on hold       422  parks
    ├─ NotPermitted          no or wrong credentials                   401, 403
    │   └─ LaunchRefused (who came from an EHR can't be let in)
    ├─ UpstreamUnavailable   nothing happened there; retry is safe     503
    │   ├─ ProcessorUnavailable, ProcessorMisconfigured (our key there is wrong)
    │   ├─ EhrUnavailable, EhrMisconfigured (it doesn't know us, or isn't what is configured)
    │   └─ FilesUnreachable, FilesRefused (our key there, theirs, or the folder is wrong)
    ├─ StorageUnavailable    nothing could be stored                   503  no answer, close
    └─ InvariantBroken       a bug of ours                             500  parks

`hl7/ack.py` (gate), `fhir/outcome.py` and `web/problem.py` each read one column of this table. A message is
written for the person who can act; it carries ids and addresses, never a payload. To add an error: subclass the
nearest one, give it a stable `code`, and add the code to the README's table (a test says which one is missing).
Imports nothing of ours.
"""

from __future__ import annotations

from typing import ClassVar


class FhirpayError(Exception):
    """Something that a caller can name. `location` is an address the sender can look at (`FT1[2]-11.1`)."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    http_status: ClassVar[int] = 500
    issue_code: ClassVar[str] = "exception"
    ack_code: ClassVar[str | None] = None  # at the gate only: "AE" or "AR"
    hl7_error: ClassVar[str] = "207"  # HL7 table 0357

    def __init__(self, message: str, *, location: str | None = None, **ids: str) -> None:
        super().__init__(message)
        self.message = message
        self.location = location
        self.ids = ids

    def __str__(self) -> str:
        return f"{self.location}: {self.message}" if self.location else self.message


class MessageInvalid(FhirpayError):
    code, http_status, issue_code, ack_code, hl7_error = "message-invalid", 400, "structure", "AE", "102"


class RequiredMissing(MessageInvalid):
    code, issue_code, hl7_error = "required-missing", "required", "101"


class DelimitersInvalid(MessageInvalid):
    """MSH-1 and MSH-2 can't be told apart: nothing of the message can be read, so it is rejected as a whole."""

    code, ack_code = "delimiters-invalid", "AR"


class ValueInvalid(MessageInvalid):
    """A value of the wrong type (`hl7_error` 102), or outside its table (103, see CodeInvalid)."""

    code, issue_code, hl7_error = "value-invalid", "value", "102"


class CodeInvalid(ValueInvalid):
    code, issue_code, hl7_error = "code-invalid", "code-invalid", "103"


class TooLarge(MessageInvalid):
    code, http_status, issue_code = "too-large", 413, "too-long"


class MessageUnsupported(FhirpayError):
    code, http_status, issue_code, ack_code, hl7_error = (
        "message-unsupported",
        422,
        "not-supported",
        "AR",
        "200",
    )


class EventUnsupported(MessageUnsupported):
    code, hl7_error = "event-unsupported", "201"


class ProcessingIdUnsupported(MessageUnsupported):
    """MSH-11 says test or debug on a live interface, or the other way round (HL7 2.5.1 §2.14.9.11)."""

    code, hl7_error = "processing-id-unsupported", "202"


class VersionUnsupported(MessageUnsupported):
    code, hl7_error = "version-unsupported", "203"


class NotFound(FhirpayError):
    code, http_status, issue_code, hl7_error = "not-found", 404, "not-found", "204"


class Conflict(FhirpayError):
    code, http_status, issue_code, ack_code, hl7_error = "conflict", 409, "conflict", "AE", "205"


class PreconditionFailed(Conflict):
    """If-Match named another version, or a conditional create matched many (FHIR R4 http.html)."""

    code, http_status = "precondition-failed", 412


class RuleBroken(FhirpayError):
    code, http_status, issue_code = "rule-broken", 422, "business-rule"


class IllegalMove(RuleBroken):
    """A state change that the table of legal moves does not list."""

    code = "illegal-move"


class NotPermitted(FhirpayError):
    code, http_status, issue_code = "not-permitted", 403, "forbidden"


class NotAuthenticated(NotPermitted):
    code, http_status, issue_code = "not-authenticated", 401, "login"


class LaunchRefused(NotPermitted):
    """Somebody came from an EHR (SMART launch) and can't be let in. `reason` is one word of a closed set, for the log;
    the message is a sentence for whoever looks at the screen."""

    code = "launch-refused"

    def __init__(self, message: str, *, reason: str, **ids: str) -> None:
        super().__init__(message, **ids)
        self.reason = reason


class UpstreamUnavailable(FhirpayError):
    """Never sent, or refused unprocessed: a retry is safe. Anything less certain is a state, not an error."""

    code, retryable, http_status, issue_code = "upstream-unavailable", True, 503, "transient"


class ProcessorUnavailable(UpstreamUnavailable):
    code = "processor-unavailable"


class ProcessorNotReached(ProcessorUnavailable):
    """It provably never had this call, or refused it unprocessed (429): it knows nothing of what was asked."""

    code = "processor-not-reached"


class ProcessorMisconfigured(ProcessorUnavailable):
    """Our key or our account there is wrong: nothing happened, and nothing will until a person has changed it."""

    code = "processor-misconfigured"


class EhrUnavailable(UpstreamUnavailable):
    """`retry_after_s` is how long the EHR wants to be left alone, where it says so."""

    code = "ehr-unavailable"

    def __init__(self, message: str, *, retry_after_s: int = 0, **ids: str) -> None:
        super().__init__(message, **ids)
        self.retry_after_s = retry_after_s


class EhrMisconfigured(EhrUnavailable):
    """It gives us no token, or is none that we can read or write to: nothing happened, and nothing will until a person
    has changed it, there or here."""

    code = "ehr-misconfigured"


class FilesUnreachable(UpstreamUnavailable):
    """Where an interface's files are fetched from: they stay there, and we try again."""

    code = "files-unreachable"


class FilesRefused(FilesUnreachable):
    """It won't do until a person has changed something: our key, the server's, the folder's permissions."""

    code = "files-refused"


class StorageUnavailable(FhirpayError):
    code, retryable, http_status, issue_code = "storage-unavailable", True, 503, "transient"


class InvariantBroken(FhirpayError):
    code = "invariant-broken"


class LeaseLost(FhirpayError):
    """Another worker holds this lane now: our unit must leave nothing behind."""

    code, retryable = "lease-lost", True


class ConfigInvalid(FhirpayError):
    """The configuration can't be used; the message says which line and what to write instead."""

    code = "config-invalid"
