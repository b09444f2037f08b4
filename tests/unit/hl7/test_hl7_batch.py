"""A file's messages, each with its own fate."""

from __future__ import annotations

from itertools import islice

from fhirpay.hl7.batch import BatchReader, is_batch, name_of, read_batch, reply_head, reply_trailer

ONE = "MSH|^~\\&|A\rPID|1\r"
TWO = "MSH|^~\\&|B\rPID|2\r"


def split_batch(text: str) -> list[str]:
    return [message.decode() for message in read_batch(text.encode()).messages]


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


# ── what doesn't add up ───────────────────────────────────────────────────────────────────────────────────────────────


def charge(kind: str, amount: str) -> str:
    return f"MSH|^~\\&|A|B\rFT1|1|T|||| {kind} |||||{amount}\r".replace(f" {kind} ", kind)


def warnings(text: str) -> list[str]:
    return read_batch(text.encode()).warnings


HEAD = "BHS|^~\\&|LAB|HOSP|FHIRPAY|MAIN|20261120||||B-7\r"
MONEY = charge("CG", "100.00&USD") + charge("CD", "25.00^USD")


def test_totals_are_the_senders_own_and_any_of_their_meanings_will_do() -> None:
    for total in ("125", "75.00", "+125.0"):
        assert warnings(f"{HEAD}{MONEY}BTS|2||{total}\r") == []
    assert warnings(f"{HEAD}{MONEY}BTS|2||130.00\r") == ["BTS-3 says 130.00, the amounts of its FT1 sum to 125.00"]
    assert warnings(f"{HEAD}{ONE}BTS|1||130.00\r") == []  # no amounts: the total is of something else
    assert warnings(f"{HEAD}{MONEY}BTS|2||many\r") == []


def test_a_file_counts_its_batches() -> None:
    two = f"FHS|^~\\&\r{HEAD}{ONE}BTS|1\r{HEAD}{TWO}BTS|1\r"
    assert warnings(f"{two}FTS|2\r") == []
    assert warnings(f"{two}FTS|3\r") == ["FTS-1 says 3 batches, 2 were found"]
    assert warnings(f"FHS|^~\\&\r{ONE}{TWO}FTS|1\r") == []


def test_a_trailer_that_only_the_last_one_lacks_is_worth_a_look() -> None:
    assert warnings(f"{HEAD}{ONE}{HEAD}{TWO}") == []  # a sender that writes none
    assert warnings(f"{HEAD}{ONE}BTS|1\r{HEAD}{TWO}") == [
        "the last batch has no BTS, which others have: it may have been cut off"
    ]
    assert warnings(f"FHS|^~\\&\r{HEAD}{ONE}BTS|1\r") == ["the file has no FTS: it may have been cut off"]


def test_the_reply_names_what_it_answers_and_is_a_batch_itself() -> None:
    assert name_of(read_batch((HEAD + ONE).encode()).header) == "B-7"
    head = reply_head(HEAD.rstrip(), time="20261120")
    assert head == b"BHS|^~\\&|FHIRPAY|MAIN|LAB|HOSP|20261120|||||B-7\r"
    assert read_batch(head + b"MSH|^~\\&|x\rMSA|AA|1\r" + reply_trailer(1)).warnings == []
    assert reply_head("") == b"BHS|^~\\&\r"


def test_messages_are_read_as_they_are_asked_for() -> None:
    reader = BatchReader((HEAD + ONE + TWO + "BTS|9\r").encode())
    assert list(islice(reader, 1)) == [ONE.encode()]
    assert (reader.header, reader.warnings) == (HEAD.rstrip(), [])


def test_a_file_of_nothing_but_trailers_has_few_words_for_it() -> None:
    assert [*warnings("BTS|5\r" * 1_000)[-2:]] == ["BTS-1 says 5 messages, 0 were found", "and 990 more"]


def test_one_message_is_no_batch() -> None:
    assert not is_batch(ONE.encode())
    assert not is_batch(b"")
    for text in (HEAD + ONE, ONE + TWO, "\ufeffFHS|^~\\&\r" + ONE, "\r\n" + HEAD + ONE):
        assert is_batch(text.encode())
