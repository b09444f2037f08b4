"""From bytes to text by MSH-18 (HL7 table 0211), and back. Used by `reader` and by whatever answers a sender.

To read another character set, add its spelling, upper case and without blanks or punctuation, to `CODECS`.
"""

from __future__ import annotations

import re

from ..errors import CodeInvalid, MessageInvalid

SWITCHING = "iso2022_jp_ext"

# Table 0211 and the other spellings seen. ASCII means "nothing was promised": senders that say so still send é.
CODECS: dict[str, str] = (
    {f"8859{part}": f"iso8859-{part}" for part in (*range(1, 12), *range(13, 17))}
    | {f"ISO8859{part}": f"iso8859-{part}" for part in (*range(1, 12), *range(13, 17))}
    | dict.fromkeys(("ASCII", "USASCII", "ISOIR6", "ISO646"), "")
    | dict.fromkeys(("UNICODEUTF8", "UTF8", "UNICODE"), "utf-8")
    | dict.fromkeys(("WINDOWS1252", "CP1252", "MSANSI"), "windows-1252")
    | dict.fromkeys(("ISOIR14", "ISOIR87", "ISOIR159", "JAS2020", "JISX0202", "ISO2022JP"), SWITCHING)
    | {"LATIN1": "iso8859-1", "WINDOWS1250": "windows-1250", "WINDOWS1251": "windows-1251"}
    | {"ISOIR13": "shift_jis"}  # of it, the half-width katakana
    | {"GB180302000": "gb18030", "GB18030": "gb18030", "KSX1001": "euc_kr", "BIG5": "cp950"}
)
_UNFRAMEABLE = re.compile(r"(UNICODE)?UTF(16|32)")  # may hold the bytes that end a frame
_NOT_LETTERS = re.compile(r"[^A-Z0-9]+")
_SWITCHED = re.compile(rb"(\x1b\$.*?(?:\x1b\([BJ]|\Z))", re.DOTALL)
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"M\x00", b"\x00M")
BOM = b"\xef\xbb\xbf"


def codec_of(declared: str) -> str:
    """The codec for MSH-18 as written (`A~B` repeats: ISO 2022 switches), '' when nothing is promised.

    Raises CodeInvalid at MSH-18 for a character set that we don't read.
    """
    codec = ""
    for repetition in declared.split("~"):
        name = _NOT_LETTERS.sub("", repetition.upper())
        if not name:
            continue
        if _UNFRAMEABLE.fullmatch(name):
            raise CodeInvalid("UTF-16 and UTF-32 can't be framed safely; send UNICODE UTF-8", location="MSH-18")
        found = CODECS.get(name)
        if found is None:
            raise CodeInvalid(f"the character set '{repetition[:30]}' isn't read here", location="MSH-18")
        codec = found if not codec or found == SWITCHING else codec
    return codec


def decode(data: bytes, fallback: str = "windows-1252", assumed: str = "") -> tuple[str, str]:
    """Text, and the codec that read it. Nothing declared: as `assumed` (of table 0211), else UTF-8, then `fallback`.

    Raises MessageInvalid at MSH-18 when the bytes aren't what they are said to be.
    """
    if data.startswith(BOM):
        data = data[3:]
    if data[:2] in _WIDE:
        raise CodeInvalid("this is UTF-16, which can't be framed safely; send UNICODE UTF-8", location="MSH-18")
    declared = _declared(data)
    codec = codec_of(declared)
    if not codec and assumed:
        declared, codec = assumed, codec_of(assumed)
    if codec == SWITCHING and not data.isascii():
        return _piece_by_piece(data, codec_of(declared.split("~")[0])), codec
    for candidate in (codec,) if codec else ("utf-8", fallback):
        try:
            return data.decode(candidate), candidate
        except UnicodeDecodeError:
            continue
    said = codec or f"UTF-8 or {fallback}"
    raise MessageInvalid(f"the bytes are not valid {said}", location="MSH-18")


def switched(escape: bytes, text: str) -> str | None:
    """`text` as its bytes mean after this escape sequence of ISO 2022 (without ESC); None where that can't be read."""
    if escape == b"(B":
        return text
    try:
        return (b"\x1b" + escape + text.encode("ascii")).decode(SWITCHING)
    except UnicodeError:
        return None


def _piece_by_piece(data: bytes, first: str) -> str:
    """The first repetition's character set has eight bits: it reads what stands outside of ISO 2022's switches."""
    text = ""
    try:
        for number, piece in enumerate(_SWITCHED.split(data)):
            text += piece.decode(SWITCHING if number % 2 else first or "ascii")
    except UnicodeDecodeError:
        raise MessageInvalid(f"the bytes are not valid {first or 'ASCII'} and ISO 2022", location="MSH-18") from None
    return text


def encode(text: str, codec: str) -> bytes:
    """`text` for a sender that wrote in `codec`; a character that it can't hold becomes '?'."""
    return text.encode(codec or "utf-8", errors="replace")


def _declared(data: bytes) -> str:
    """MSH-18 as written, from the raw bytes: separators are ASCII in every character set read here."""
    start = data.find(b"MSH")
    if start < 0:
        return ""
    end = len(data)
    for ending in (b"\r", b"\n"):
        found = data.find(ending, start)
        end = found if 0 <= found < end else end
    if end - start < 20:
        return ""
    fields = data[start:end].split(data[start + 3 : start + 4], 18)
    return fields[17].decode("ascii", errors="replace") if len(fields) > 17 else ""
