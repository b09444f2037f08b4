"""MSH-18 decides how bytes become text; undeclared, strict UTF-8 and then the profile's fallback."""

from __future__ import annotations

import pytest

from fhirpay.errors import CodeInvalid, MessageInvalid
from fhirpay.hl7.charsets import codec_of, decode, encode


def msh(charset: str, name: str) -> str:
    return f"MSH|^~\\&|A|B|C|D|20261120||DFT^P03|1|P|2.5.1||||||{charset}\rPID|1||1||{name}\r"


@pytest.mark.parametrize(
    ("declared", "codec", "name"),
    [
        ("8859/1", "iso8859-1", "Müller"),
        ("ISO 8859-1", "iso8859-1", "Müller"),
        ("8859/2", "iso8859-2", "Łódź"),
        ("8859/15", "iso8859-15", "€uro"),
        ("UNICODE UTF-8", "utf-8", "Łódź 東"),
        ("UTF-8", "utf-8", "Łódź"),
        ("utf8", "utf-8", "é"),
        ("WINDOWS-1252", "windows-1252", "“é”"),
        ("GB 18030-2000", "gb18030", "张伟"),
        ("KS X 1001", "euc_kr", "김"),
        ("BIG-5", "cp950", "陳"),
        ("ISO IR6~ISO IR87", "iso2022_jp_ext", "山田"),
        ("~ISO IR87", "iso2022_jp_ext", "山田"),
    ],
)
def test_declared_charset(declared: str, codec: str, name: str) -> None:
    assert codec_of(declared) == codec
    text, used = decode(msh(declared, name).encode(codec))
    assert (used, text) == (codec, msh(declared, name))


@pytest.mark.parametrize("declared", ["", "ASCII", "ISO IR6"])
def test_nothing_promised_is_utf8_then_the_fallback(declared: str) -> None:
    assert decode(msh(declared, "Łódź").encode())[1] == "utf-8"
    assert decode(msh(declared, "“é”").encode("windows-1252")) == (msh(declared, "“é”"), "windows-1252")
    assert decode(msh(declared, "Łódź").encode("iso8859-2"), "iso8859-2") == (msh(declared, "Łódź"), "iso8859-2")


def test_byte_order_mark_is_no_text() -> None:
    assert decode(b"\xef\xbb\xbfMSH|^~\\&|A")[0] == "MSH|^~\\&|A"


def test_bytes_that_are_not_what_they_say_are_refused() -> None:
    with pytest.raises(MessageInvalid) as caught:
        decode(msh("UNICODE UTF-8", "é").encode("latin-1"))
    assert caught.value.location == "MSH-18"
    with pytest.raises(MessageInvalid) as caught:
        decode(b"MSH|^~\\&|A\x81")  # neither UTF-8 nor windows-1252
    assert caught.value.location == "MSH-18"


@pytest.mark.parametrize("declared", ["8859-1", "iso-8859-1", "ISO8859/1", "Latin 1", "ISO_8859-1"])
def test_spellings_of_one_charset(declared: str) -> None:
    assert codec_of(declared) == "iso8859-1"


def test_repeats_switch_by_iso_2022_and_the_first_reads_the_rest() -> None:
    kanji = "\x1b$B;3ED\x1b(B"
    for declared, rest, meant in (
        ("ISO IR6~ISO IR87", b"Yamada", "Yamada"),
        ("8859/1~ISO IR87", b"M\xfcller", "Müller"),
        ("ISO IR13~ISO IR87", b"\xd4\xcf\xc0\xde", "ﾔﾏﾀﾞ"),
    ):
        data = msh(declared, "{}").encode().replace(b"{}", rest + b"=" + kanji.encode())
        assert decode(data)[0] == msh(declared, f"{meant}=山田")
    with pytest.raises(MessageInvalid):
        decode(msh("ISO IR6~ISO IR87", "{}").encode().replace(b"{}", b"\xe9"))


def test_the_profile_may_say_what_nothing_declared_means() -> None:
    sent = msh("", "{}").encode().replace(b"{}", b"\x1b$B;3ED\x1b(B")
    assert decode(sent, "windows-1252", "ISO IR87") == (msh("", "山田"), "iso2022_jp_ext")
    assert decode(msh("", "Łódź").encode("iso8859-2"), assumed="8859/2") == (msh("", "Łódź"), "iso8859-2")
    assert decode(msh("UTF-8", "Łódź").encode(), assumed="8859/2")[1] == "utf-8"


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused_by_its_name(codec: str) -> None:
    with pytest.raises(CodeInvalid, match="UTF-16") as caught:
        decode(msh("", "x").encode(codec))
    assert caught.value.location == "MSH-18"


@pytest.mark.parametrize("declared", ["UNICODE UTF-16", "UTF-32", "CNS 11643-1992", "KLINGON"])
def test_charsets_that_are_not_read(declared: str) -> None:
    with pytest.raises(CodeInvalid) as caught:
        decode(msh(declared, "x").encode())
    assert (caught.value.location, caught.value.hl7_error) == ("MSH-18", "103")


def test_answer_in_the_senders_charset_never_fails() -> None:
    assert encode("é€", "iso8859-1") == b"\xe9?"
    assert encode("é", "") == "é".encode()
