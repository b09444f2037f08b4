"""What can be said of a call that brought no answer. Raised by http.py alone; adapters turn it into an outcome.

The line between the two is where hospitals charge twice: only what provably never left may be sent again.
"""

from __future__ import annotations

from ..errors import FhirpayError, UpstreamUnavailable


class NeverSent(UpstreamUnavailable):
    """No byte of the request left this machine: sending it again is safe."""


class Uncertain(FhirpayError):
    """Bytes may have left and no complete answer came: it may have happened. Look it up, don't send it again."""

    code, http_status, issue_code = "outcome-uncertain", 502, "timeout"


class AnswerTooLarge(Uncertain):
    """It answered with more than we read: asked again, it would again."""
