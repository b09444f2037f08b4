"""From bytes to text by MSH-18 (HL7 table 0211), and back. Used by `reader` and by whatever answers a sender.

To read another character set, add its spelling, upper case and without blanks or punctuation, to `CODECS`.
"""

from __future__ import annotations

import re

from ..errors import CodeInvalid, MessageInvalid

# Table 0211 and the other spellings seen. ASCII means "nothing was promised": senders that say so still send é.
CODECS: dict[str, str] = (
    {f"8859{part}": f"iso8859-{part}" for part in (*range(1, 12), *range(13, 17))}
    | {f"ISO8859{part}": f"iso8859-{part}" for part in (*range(1, 12), *range(13, 17))}
    | dict.fromkeys(("ASCII", "USASCII", "ISOIR6", "ISO646"), "")
    | dict.fromkeys(("UNICODEUTF8", "UTF8", "UNICODE"), "utf-8")
    | dict.fromkeys(("WINDOWS1252", "CP1252"), "windows-1252")
    | dict.fromkeys(("ISOIR14", "ISOIR87", "ISOIR159", "JAS2020", "JISX0202", "ISO2022JP"), "iso2022_jp_ext")
    | {"LATIN1": "iso8859-1", "WINDOWS1250": "windows-1250", "WINDOWS1251": "windows-1251"}
    | {"GB180302000": "gb18030", "GB18030": "gb18030", "KSX1001": "euc_kr", "BIG5": "cp950"}
)
_UNFRAMEABLE = re.compile(r"(UNICODE)?UTF(16|32)")  # may hold the bytes that end a frame
_NOT_LETTERS = re.compile(r"[^A-Z0-9]+")
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
        codec = found if not codec or found == "iso2022_jp_ext" else codec
    return codec


def decode(data: bytes, fallback: str = "windows-1252") -> tuple[str, str]:
    """Text, and the codec that read it. Nothing declared: strict UTF-8, then `fallback`.

    Raises MessageInvalid at MSH-18 when the bytes aren't what they are said to be.
    """
    if data.startswith(BOM):
        data = data[3:]
    codec = codec_of(_declared(data))
    for candidate in (codec,) if codec else ("utf-8", fallback):
        try:
            return data.decode(candidate), candidate
        except UnicodeDecodeError:
            continue
    said = codec or f"UTF-8 or {fallback}"
    raise MessageInvalid(f"the bytes are not valid {said}", location="MSH-18")


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
