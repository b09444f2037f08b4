"""Forty named values of a DFT^P03 (2.5.1, four FT1), escapes decoded: ours against hl7apy, `hl7`, and a bare split.

Each contender parses the text anew and takes the same values in the way its documentation shows; they must agree
before anything is timed. The bare split is what a careful script would do for these values and no others.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from itertools import chain

import hl7
from harness import a_b_a, row
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from fhirpay.hl7.reader import Message, compile_paths

CHARGE = (
    "FT1|{n}|T-900{n}||20261119||CG|9921{n}^Office visit\\T\\consultation, level {n}^C4|||{n}|12{n}.50&USD|12{n}.50&USD"
    "|ED^Emergency^L|||E1^^^North||O|R07.9^Chest pain^I10|1234567893^DOE^ANN^^^DR^^^NPI&2.16.840.1.113883.4.6&ISO|"
    "1234567893^DOE^ANN^^^DR||ORD-5{n}^ADM|77^CLERK^CLEO\r"
)
TEXT = (
    "MSH|^~\\&|ADM|North\\T\\South^1.2.3^ISO|PAY|East|20261120095900||DFT^P03^DFT_P03|M-000417|P|2.5.1|||AL|NE\r"
    "EVN|P03|20261120095900|||77^CLERK^CLEO\r"
    "PID|1||P-41^^^HOSP&1.2.840.1&ISO^MR~S-9^^^OLD^PI||O'EXAMPLE\\T\\SON^PAT^Q||19800229|F||2106-3"
    "|1 High St^^Town^NY^10001||555-0100|||M||A-7712^^^FIN^AN\r"
    "PV1|1|O|ED^3^1^North||||1234567893^DOE^ANN^^^DR|||EM||||1|||1234567893^DOE^ANN|O|V-118^^^VIS|SP"
    + "|" * 24
    + "20261119081500\r"
    + "".join(CHARGE.format(n=n) for n in (1, 2, 3, 4))
    + "DG1|1||R07.9^Chest pain^I10|||F\r"
    "GT1|1|G-55^^^FIN|O'EXAMPLE^SAM||1 High St^^Town^NY^10001|555-0100||19790101|M||PAR\r"
    "IN1|1|PPO^Preferred|BC1^^^NAIC|Blue \\S\\ Company||||GRP-1" + "|" * 28 + "XYZ123456\r"
)
PATHS = compile_paths(
    *("MSH-3", "MSH-4", "MSH-9.1", "MSH-9.2", "MSH-10", "MSH-12", "EVN-2"),
    *("PID-3.1", "PID-3.4.2", "PID-3.5", "PID-5.1", "PID-5.2", "PID-7", "PID-8", "PID-18.1"),
    *("PV1-2", "PV1-19.1", "PV1-44", "GT1-2.1", "IN1-4"),
    *chain.from_iterable(
        (f"FT1[{n}]-2", f"FT1[{n}]-4", f"FT1[{n}]-7.2", f"FT1[{n}]-11.1.1", f"FT1[{n}]-11.1.2") for n in (1, 2, 3, 4)
    ),
)
assert len(PATHS) == 40


def by_fhirpay() -> list[str]:
    return Message.parse(TEXT).take(PATHS)


DECODED = (("\\F\\", "|"), ("\\S\\", "^"), ("\\T\\", "&"), ("\\R\\", "~"), ("\\E\\", "\\"))


def decoded(value: str) -> str:
    for sequence, meant in DECODED:
        value = value.replace(sequence, meant)
    return value


def by_bare_split() -> list[str]:
    charges: list[list[str]] = []
    for line in TEXT.split("\r"):
        match line[:3]:
            case "MSH":
                msh = line.split("|")
            case "EVN":
                evn = line.split("|")
            case "PID":
                pid = line.split("|")
            case "PV1":
                pv1 = line.split("|")
            case "FT1":
                charges.append(line.split("|"))
            case "GT1":
                gt1 = line.split("|")
            case "IN1":
                in1 = line.split("|")
    kind = msh[8].split("^")
    identifier = pid[3].split("~")[0].split("^")
    name = pid[5].split("^")
    values = [
        msh[2].split("^")[0],
        msh[3].split("^")[0],
        kind[0],
        kind[1],
        msh[9],
        msh[11],
        evn[2],
        identifier[0],
        identifier[3].split("&")[1],
        identifier[4],
        name[0],
        name[1],
        pid[7],
        pid[8],
        pid[18].split("^")[0],
        pv1[2],
        pv1[19].split("^")[0],
        pv1[44],
        gt1[2].split("^")[0],
        in1[4],
    ]
    for ft1 in charges:
        amount = ft1[11].split("&")
        values += (ft1[2], ft1[4], ft1[7].split("^")[1], amount[0], amount[1])
    return [decoded(value) if "\\" in value else value for value in values]


def by_hl7() -> list[str]:
    message = hl7.parse(TEXT)
    take = message.extract_field
    charges = chain.from_iterable(
        (
            take("FT1", n, 2),
            take("FT1", n, 4),
            take("FT1", n, 7, 1, 2),
            take("FT1", n, 11, 1, 1, 1),
            take("FT1", n, 11, 1, 1, 2),
        )
        for n in (1, 2, 3, 4)
    )
    values = (
        take("MSH", 1, 3),
        take("MSH", 1, 4, 1, 1),
        take("MSH", 1, 9, 1, 1),
        take("MSH", 1, 9, 1, 2),
        take("MSH", 1, 10),
        take("MSH", 1, 12),
        take("EVN", 1, 2),
        take("PID", 1, 3, 1, 1),
        take("PID", 1, 3, 1, 4, 2),
        take("PID", 1, 3, 1, 5),
        take("PID", 1, 5, 1, 1),
        take("PID", 1, 5, 1, 2),
        take("PID", 1, 7),
        take("PID", 1, 8),
        take("PID", 1, 18, 1, 1),
        take("PV1", 1, 2),
        take("PV1", 1, 19, 1, 1),
        take("PV1", 1, 44),
        take("GT1", 1, 2, 1, 1),
        take("IN1", 1, 4),
        *charges,
    )
    return [message.unescape(value) for value in values]


def by_hl7apy() -> list[str]:
    message = parse_message(TEXT, validation_level=VALIDATION_LEVEL.TOLERANT)
    msh, pid, pv1 = message.msh, message.pid, message.pv1
    insurance = message.dft_p03_insurance[0]
    elements = [
        msh.msh_3.hd_1,
        msh.msh_4.hd_1,
        msh.msh_9.msg_1,
        msh.msh_9.msg_2,
        msh.msh_10,
        msh.msh_12.vid_1,
        message.evn.evn_2.ts_1,
        pid.pid_3[0].cx_1,
        pid.pid_3[0].cx_4.hd_2,
        pid.pid_3[0].cx_5,
        pid.pid_5.xpn_1.fn_1,
        pid.pid_5.xpn_2,
        pid.pid_7.ts_1,
        pid.pid_8,
        pid.pid_18.cx_1,
        pv1.pv1_2,
        pv1.pv1_19.cx_1,
        pv1.pv1_44.ts_1,
        message.gt1.gt1_2.cx_1,
        insurance.in1.in1_4.xon_1,
    ]
    for group in message.dft_p03_financial:
        ft1 = group.ft1
        elements += [ft1.ft1_2, ft1.ft1_4.dr_1.ts_1, ft1.ft1_7.ce_2, ft1.ft1_11.cp_1.mo_1, ft1.ft1_11.cp_1.mo_2]
    # It leaves escape sequences as they are, so the decoding is added here.
    return [decoded(element.to_er7()) for element in elements]


def microseconds(contender: Callable[[], list[str]], messages: int) -> float:
    return timeit.timeit(contender, number=messages) / messages * 1e6


def measure(name: str, other: Callable[[], list[str]], messages: int) -> None:
    ours, theirs, ratio = a_b_a(lambda: microseconds(by_fhirpay, 1000), lambda: microseconds(other, messages))
    row(f"hl7_parse/{name}", ours, "µs/message", f"{name}: {theirs:.1f} µs/message", ratio)


if __name__ == "__main__":
    expected = by_hl7apy()
    assert len(expected) == 40
    assert all(expected)
    for contender in (by_fhirpay, by_hl7, by_bare_split):
        assert contender() == expected, f"{contender.__name__} reads other values"
    measure("hl7apy", by_hl7apy, 5)
    measure("hl7", by_hl7, 100)
    measure("split", by_bare_split, 1000)
