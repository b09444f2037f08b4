"""What Authorize.Net's response reason codes mean in our words. Pure. Called by authorizenet_wire.py alone.

`DECLINES` is of response code 2 (the bank or a filter said no), `REFUSALS` of response code 3 (the gateway did not act
on it). A code 3 that isn't listed is not believed to be a refusal: some of them follow on an authorization that timed
out and may stand (120 to 122). Source: https://developer.authorize.net/api/reference/responseCodes.html
"""

from __future__ import annotations

from collections.abc import Mapping

from ..declines import DeclineCode

_C = DeclineCode

DECLINES: Mapping[str, DeclineCode] = {
    "2": _C.DECLINED,
    "3": _C.CALL_BANK,  # a voice authorization is asked for
    "4": _C.DO_NOT_RETRY,  # the card is to be picked up
    "27": _C.DETAILS_INVALID,  # the address
    "41": _C.DO_NOT_RETRY,  # a fraud filter of the processor's
    "44": _C.DETAILS_INVALID,  # the card code
    "45": _C.DETAILS_INVALID,
    "65": _C.DETAILS_INVALID,
    "127": _C.DETAILS_INVALID,
    "141": _C.DO_NOT_RETRY,
    "145": _C.DETAILS_INVALID,
    "165": _C.DETAILS_INVALID,
    "200": _C.METHOD_INVALID,
    "201": _C.METHOD_EXPIRED,
    "202": _C.METHOD_INVALID,
    "203": _C.REFUSED,
    "205": _C.DECLINED,
    "206": _C.NOT_SET_UP,
    "207": _C.METHOD_CLOSED,
    "208": _C.METHOD_CLOSED,
    "209": _C.METHOD_INVALID,
    "210": _C.DECLINED,
    "211": _C.DECLINED,
    "212": _C.DECLINED,
    "250": _C.DO_NOT_RETRY,  # an address that is blocked
    "251": _C.DO_NOT_RETRY,  # a filter of the fraud suite
    "315": _C.METHOD_INVALID,
    "316": _C.METHOD_EXPIRED,
    "317": _C.METHOD_EXPIRED,
}
REFUSALS: Mapping[str, DeclineCode] = {
    "5": _C.REFUSED,
    "6": _C.METHOD_INVALID,
    "7": _C.METHOD_EXPIRED,
    "8": _C.METHOD_EXPIRED,
    "13": _C.NOT_SET_UP,
    "17": _C.METHOD_NOT_ACCEPTED,
    "28": _C.METHOD_NOT_ACCEPTED,
    "33": _C.REFUSED,
    "37": _C.METHOD_INVALID,
    "39": _C.CURRENCY_UNSUPPORTED,
    "47": _C.AMOUNT_TOO_LARGE,
    "48": _C.AMOUNT_TOO_LARGE,
    "49": _C.AMOUNT_TOO_LARGE,
    "50": _C.NOT_SETTLED,
    "51": _C.ALREADY_REFUNDED,
    "54": _C.REFUSED,  # not to be given back: asked for before, its state says whether it has settled
    "55": _C.ALREADY_REFUNDED,
    "78": _C.DETAILS_INVALID,
    "84": _C.METHOD_NOT_ACCEPTED,
    "103": _C.NOT_SET_UP,
    "128": _C.METHOD_CLOSED,
    "315": _C.METHOD_INVALID,
    "316": _C.METHOD_EXPIRED,
    "317": _C.METHOD_EXPIRED,
}
# Answers to the request as a whole, `messages.message.code`: nothing was done. All others are not believed to say so.
MALFORMED = frozenset("E00003 E00013 E00014 E00015 E00016 E00019 E00041".split())
OUR_KEYS = frozenset("E00005 E00006 E00007 E00008 E00009 E00010 E00011".split())
BUSY = "E00053"
NOT_FOUND = "E00040"
EXISTS = "E00039"
