"""The same bytes make the same frames, however they are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fhirpay.hl7.framing import Framer, framed

STREAM = (
    b"junk" + framed(b"MSH|one\r") + b"\r\n" + framed(b"MSH|two\r") + b"\x0bMSH|cut" + b"\x0bMSH|three\r\x1c"
    b"\x0bMSH|four\x1c\r\x0b\x1c\r\x0bMSH|unfinished"
)
FRAMES = [b"MSH|one\r", b"MSH|two\r", b"MSH|three\r", b"MSH|four", b""]


def feed(framer: Framer, *parts: bytes) -> list[bytes]:
    return [frame for part in parts for frame in framer.feed(part)]


def test_split_at_every_byte_gives_the_same_frames() -> None:
    for at in range(len(STREAM) + 1):
        framer = Framer(1000)
        assert feed(framer, STREAM[:at], STREAM[at:]) == FRAMES, at
        assert (framer.junk, framer.cut, framer.pending) == (4, 1, len("MSH|unfinished")), at


def test_one_byte_at_a_time() -> None:
    framer = Framer(1000)
    assert feed(framer, *(STREAM[at : at + 1] for at in range(len(STREAM)))) == FRAMES


@given(st.binary(max_size=120) | st.lists(st.sampled_from([b"\x0b", b"\x1c", b"\r", b"a"])).map(b"".join), st.data())
def test_any_bytes_any_cuts(stream: bytes, data: st.DataObject) -> None:
    whole = Framer(20)
    expected = whole.feed(stream)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    parts = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    other = Framer(20)
    assert feed(other, *parts) == expected
    assert all(len(frame) <= 20 for frame in expected)
    assert (other.oversized is None) is (whole.oversized is None)
    if whole.oversized is None:
        assert (other.junk, other.cut, other.pending) == (whole.junk, whole.cut, whole.pending)


def test_frame_in_one_piece_takes_the_short_way_to_the_same_end() -> None:
    assert Framer(100).feed(framed(b"MSH|a\r")) == [b"MSH|a\r"]
    assert Framer(3).feed(framed(b"MSH|a\r")) == []
    framer = Framer(100)
    assert framer.feed(framed(b"MSH|a\x0bMSH|b\r")) == [b"MSH|b\r"]
    assert framer.cut == 1


def test_oversized_frame_keeps_its_beginning_and_stops_reading() -> None:
    framer = Framer(10_000)
    assert framer.feed(framed(b"MSH|first\r") + b"\x0bMSH|" + b"x" * 9_000) == [b"MSH|first\r"]
    assert framer.oversized is None
    assert framer.feed(b"y" * 2_000) == []
    assert framer.oversized == (b"MSH|" + b"x" * 9_000)[: Framer.HEAD]
    assert not framer.over
    assert framer.feed(framed(b"MSH|next\r")) == []
    assert framer.over


def test_exactly_the_largest_size_is_taken() -> None:
    assert Framer(10).feed(framed(b"x" * 10)) == [b"x" * 10]
    framer = Framer(10)
    framer.feed(framed(b"x" * 11))
    assert framer.oversized == b"x" * 11
