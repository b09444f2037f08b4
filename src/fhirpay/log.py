"""Log lines are events with ids, as one JSON object a line. Only fields on the allow-list are written; no sentences.

Call `log.info("payment.captured", payment_id=…)`. A field that isn't listed, or whose value has a blank in it, is
replaced by its name in `dropped`: health information, card numbers and message bodies can't reach a log by accident.
What somebody said (an EHR, a processor, an error about a value) goes on the worklist; here goes its `code`. To log a
new *id*, add it here.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

ALLOWED = frozenset(
    """payment_id operation_id refund_id obligation_id account_key entry_id message_id control_id_hash interface
    work_id queue kind attempt due_s state code role host port url_host path method status
    connection merchant processor tenant resource_type resource_id version posting_id duration_ms count error
    location event_id subscription_id backend signal peer_port size pid queue_depth topic facility hold_id bag_id
    session_id close_id endpoint_id match_id bank_account file_id reading_id rule period""".split()
)
_BLANK = re.compile(r"\s")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
        return json.dumps(line, default=str)


class _Library(_Json):
    """Of other libraries: which one, where it says so, what kind of error. Their words may hold what they worked on."""

    def format(self, record: logging.LogRecord) -> str:
        place = f"{record.module}:{record.lineno}"
        known = {"name": record.name, "levelno": record.levelno, "levelname": record.levelname, "msg": "library"}
        line = logging.makeLogRecord({**known, "created": record.created, "exc_info": record.exc_info})
        line.fields = {"logger": record.name, "place": place}
        return super().format(line)


def _is_word(value: object) -> bool:
    return (
        value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and not _BLANK.search(value))
    )


class Log:
    """A logger whose lines are an event name and allow-listed fields."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(f"fhirpay.{name}")

    def _emit(self, level: int, event: str, exc: bool, fields: dict[str, object]) -> None:
        if not self._logger.isEnabledFor(level):
            return
        kept: dict[str, object] = {key: value for key, value in fields.items() if key in ALLOWED and _is_word(value)}
        dropped = sorted(set(fields) - set(kept))
        if dropped:
            kept["dropped"] = dropped
        self._logger.log(level, event, extra={"fields": kept}, exc_info=exc)

    def debug(self, event: str, **fields: object) -> None:
        self._emit(logging.DEBUG, event, False, fields)

    def info(self, event: str, **fields: object) -> None:
        self._emit(logging.INFO, event, False, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._emit(logging.WARNING, event, False, fields)

    def error(self, event: str, *, exc: bool = False, **fields: object) -> None:
        self._emit(logging.ERROR, event, exc, fields)


def setup(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send our events to standard error as JSON lines. Other libraries' loggers keep to warnings, without words."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json())
    ours = logging.getLogger("fhirpay")
    ours.handlers = [handler]
    ours.setLevel(level.upper())
    ours.propagate = False
    theirs = logging.StreamHandler(handler.stream)
    theirs.setFormatter(_Library())
    theirs.setLevel(logging.WARNING)
    logging.getLogger().handlers = [theirs]
