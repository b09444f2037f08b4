"""Values and headers that senders get wrong: the words of the fuzz's grammar. Pure; used by `fuzz_grammar`.

Text is Latin-1, one character a byte: the bytes are what is sent. To try another value, add it to its list.
"""

from __future__ import annotations

import random

NEARLY_EMPTY = ("", "\r", " ", "\x00", "M", "MSH", "MSH|", "MSH|^~\\&", "MSH|^~\\&|\r")
HUGE = (1_000, 4_000, 20_000, 100_000)
ESCAPES = (
    "\\", "\\F\\", "\\S\\T\\R\\E\\", "\\X\\", "\\X4\\", "\\X00\\", "\\X0D0A\\", "\\X1C0D\\", "\\XZZ\\", "\\.br\\",
    "\\.sp+99999\\", "\\.sk999\\", "\\H\\bold\\N\\", "\\C2842\\", "\\M282442\\", "\\C00\\", "\\Zsite\\", "\\\\\\\\",
)  # fmt: skip
BYTES = (
    "\x00", "\x01", "\x07", "\x0e", "\x1a", "\x1b$B", "\x7f", "\x80", "\xc3", "\xc3\xa9", "\xe2\x82\xac",
    "\xed\xa0\x80", "\xf0\x9f\x98\x80", "\xff\xfe", "\xef\xbb\xbf", "\xc2\xa0", "\xe2\x80\xae", "\xef\xbf\xbd",
)  # fmt: skip
AMOUNTS = (
    "0", "-0", "0.00", "-12.50", "+5", "12.5.0", "1e9", "1E400", "NaN", "Infinity", "-Infinity", "0x10", "1_000",
    "999999999999999999999", "92233720368547758.07", "92233720368547758.08", "0.001", "0.0000000000000000001", "12,50",
    "$12.50", " 12.50 ", "12.50-", "(12.50)", "\xd9\xa1\xd9\xa2", ".", "-", "12.50&USD", "12.50&XXX", "12.50&usd",
    "5&JPY", "1.234&KWD", "12.50&", "&USD", "1" * 400, '""',
)  # fmt: skip
TIMES = (
    "20261120", "2026", "202613", "20261301", "20260230", "00000000", "99991231235959", "20261120250000",
    "20261120236060",
    "20261120093000.123456789+1400", "20261120093000-2500", "20261120T093000", "1", "20261120093000+", '""', "18000101",
)  # fmt: skip
TYPES = (
    "DFT^P03", "DFT^P03^DFT_P03", "DFT^P11", "ADT^A01", "ADT^A04", "ADT^A08", "ADT^A11", "ADT^A31", "ADT^A40",
    "ADT^A44", "BAR^P01", "BAR^P05", "BAR^P12", "SIU^S12", "SIU^S15", "ORU^R01", "ACK", "ACK^P03", "DFT", "DFT^",
    "^P03", "", "dft^p03", "DFT^P99", "ADT^A40^ADT_A39", "DFT\\S\\P03", "DFT~ADT^P03", '""',
)  # fmt: skip
VERSIONS = ("2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.6", "2.7", "2.8.2", "2.9", "3", "", "2.5.1^USA", "2.5.1.1.1")
WHEN = ("AL", "NE", "ER", "SU", "", "al", "XX")
CHARSETS = (
    "UNICODE UTF-8", "8859/1", "8859/15", "ASCII", "ISO IR14", "ISO IR87", "ISO IR159", "~ISO IR87", "GB 18030-2000",
    "KS X 1001", "BIG-5", "UNICODE UTF-16", "UTF-32", "WINDOWS-1252", "KLINGON", "ISO IR14~ISO IR87", "CP037",
)  # fmt: skip
SEPARATORS = "|^~\\&#!$%*+,-./:;<=>?@_`{}'()[]"
NAMES = (
    "FT1",
    "PID",
    "PV1",
    "IN1",
    "GT1",
    "MRG",
    "OBX",
    "NK1",
    "DG1",
    "PR1",
    "EVN",
    "ZZZ",
    "MSH",
    "ACC",
    "AIS",
    "SCH",
    "AL1",
)
STRANGE_NAMES = ("ft1", "F T", "1FT", "FT", "FT1^", "", "BHS", "BTS", "\x00\x00\x00", "MSA")


def value(rng: random.Random) -> str:
    """Something that may stand in any field and hardly ever should."""
    match rng.randrange(14):
        case 0:
            return ""
        case 1:
            return '""'
        case 2:
            return rng.choice(AMOUNTS)
        case 3:
            return rng.choice(TIMES)
        case 4:
            return rng.choice(ESCAPES) * rng.choice((1, 1, 2, 50))
        case 5:
            return rng.choice(BYTES) * rng.choice((1, 1, 3))
        case 6:
            return "x" * rng.choice(HUGE[:2] if rng.random() < 0.9 else HUGE)
        case 7:
            return "^".join(str(number) for number in range(rng.choice((2, 20, 300))))
        case 8:
            return "~".join(f"A{number}^^^B^MR" for number in range(rng.choice((2, 20, 150))))
        case 9:
            return "&".join("y" for _ in range(rng.choice((2, 20, 300))))
        case 10:
            return "^~\\&"[: rng.randrange(1, 5)] * rng.choice((1, 5))
        case 11:
            return rng.choice(("4111 1111 1111 1111", "5500000000000004", "378282246310005", "4242-4242-4242-4242"))
        case 12:
            return "\n".join(("two", "lines")) if rng.random() < 0.5 else "tab\tand\x0cpage"
        case _:
            return rng.randbytes(rng.randrange(1, 24)).translate(None, b"\x0b\x1c").decode("latin-1")
