"""A file's messages, each with its own fate."""

from __future__ import annotations

from fhirpay.hl7.batch import read_batch, split_batch

ONE = "MSH|^~\\&|A\rPID|1\r"
TWO = "MSH|^~\\&|B\rPID|2\r"


def test_messages_in_an_envelope() -> None:
    text = f"FHS|^~\\&|\rBHS|^~\\&|\r{ONE}{TWO}BTS|2\rFTS|1\r"
    assert split_batch(text) == [ONE, TWO]
    assert read_batch(text.encode()).warnings == []


def test_headers_are_optional_and_trailers_may_lack() -> None:
    assert split_batch(f"BHS|^~\\&|\r{ONE}BHS|^~\\&|\r{TWO}") == [ONE, TWO]
    assert split_batch(ONE + TWO) == [ONE, TWO]
    assert split_batch("") == []


def test_line_ends_blank_lines_frames_and_bom() -> None:
    text = "\ufeff\x0bMSH|^~\\&|A\r\n\r\nPID|1\n\x1c\r\x0bMSH|^~\\&|B\nPID|2\x1c\r\x1a"
    assert split_batch(text) == [ONE, TWO]


def test_bytes_are_left_as_they_are() -> None:
    data = b"\xef\xbb\xbf" + "MSH|^~\\&|Ł\rPID|é\r".encode()
    assert read_batch(data).messages == [data[3:]]


def test_wrong_count_is_a_warning() -> None:
    batch = read_batch(f"BHS|^~\\&|\r{ONE}BTS|3\rBHS|^~\\&|\r{TWO}BTS|1\rBTS\r".encode())
    assert len(batch.messages) == 2
    assert batch.warnings == ["BTS-1 says 3 messages, 1 were found"]


def test_piece_that_is_no_message_comes_out_alone() -> None:
    assert split_batch(f"noise\rmore\r{ONE}BTS|1\rPID|9\r") == ["noise\rmore\r", ONE, "PID|9\r"]
