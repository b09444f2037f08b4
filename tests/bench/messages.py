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


_COPAY = (
    "MSH|^~\\&|BILLING|CLINIC|FHIRPAY|MAIN|20261120094500||DFT^P03^DFT_P03|C{n}|P|2.5.1\r"
    "EVN|P03|20261120094500\r"
    "PID|1||MRN{n}^^^CLINIC^MR||Example^Ana^M||19840312|F||||||||||ACC{n}^^^CLINIC^AN\r"
    "PV1|1|O|EXAM^1^^CLINIC||||||||||||||||V{n}^^^CLINIC^VN|HMO\r"
    "FT1|1|T{n}-1||20261120|20261120|CG|99213^Office visit^C4|||1|180.00&USD|180.00&USD\r"
    "FT1|2|T{n}-2||20261120|20261120|CO|COPAY^Office copay^L|||1|25.00&USD\r"
)


def dft_with_copay(number: int) -> bytes:
    """A visit's charge and the copay that is due, each number with an account of its own."""
    return _COPAY.format(n=number).encode()
