"""A charge as an interface engine sends it, one after the other: same patient population, new ids."""

from __future__ import annotations

ACCOUNTS = 2_000

_TEXT = (
    "MSH|^~\\&|ADM|NORTH|PAY|EAST|20261120095900||DFT^P03^DFT_P03|M{n}|P|2.5.1\r"
    "EVN|P03|20261120095900|||77^CLERK^CLEO\r"
    "PID|1||P{a}^^^HOSP&1.2.840.1&ISO^MR||EXAMPLE^PAT^Q||19800229|F||2106-3|1 High St^^Town^NY^10001||555-0100|||M||"
    "A{a}^^^FIN^AN\r"
    "PV1|1|O|ED^3^1^NORTH||||77^DOE^ANN^^^DR|||EM||||1|||77^DOE^ANN|O|V{a}^^^VIS|SP\r"
    "FT1|1|T{n}||20261119||CG|99213^Office visit^C4|||1|125.50&USD|125.50&USD|ED^Emergency^L|||E1^^^NORTH||O|"
    "R07.9^Chest pain^I10|77^DOE^ANN|||ORD-5^ADM\r"
    "GT1|1|G{a}^^^FIN|EXAMPLE^SAM||1 High St^^Town^NY^10001|555-0100||19790101|M||PAR\r"
)


def dft(number: int) -> bytes:
    """The charge with this number; accounts come round again."""
    return _TEXT.format(n=number, a=number % ACCOUNTS).encode()
