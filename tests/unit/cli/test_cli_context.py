"""What every command prints."""

from __future__ import annotations

import sys

import pytest

from fhirpay.cli.context import out

SAID = "FHIR R4, \x1b]0;title\x07\x1b[2Jready\x9b31m\rgood\x7f\n\tnext"


def test_what_somebody_said_does_not_steer_a_terminal_and_reaches_a_program_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out(SAID)
    assert capsys.readouterr().out == SAID + "\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    out(SAID)
    shown = "FHIR R4, \ufffd]0;title\ufffd\ufffd[2Jready\ufffd31m\ufffdgood\ufffd\n\tnext\n"
    assert capsys.readouterr().out == shown
