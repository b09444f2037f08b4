"""Customer profiles (API reference, "Customer Profiles"): a payer's stored cards, never their numbers."""

from __future__ import annotations

from .books import Books
from .errors import OK, Doc, Refused

BRANDS = {"4": "Visa", "5": "MasterCard", "3": "AmericanExpress", "6": "Discover"}


def create(books: Books, request: Doc) -> Doc:
    """createCustomerProfileRequest. Raises E00039 for a merchantCustomerId that has a profile; the text names it."""
    profile = request["profile"]
    if "paymentProfiles" in profile:
        raise Refused("E00013", "The field is invalid: this look-alike takes cards on its own pages only.")
    named = {name: str(profile[name]) for name in ("merchantCustomerId", "description", "email") if name in profile}
    if not named:
        raise Refused("E00041", "One or more fields in the profile must contain a value.")
    for id_, known in books.profiles.items():
        if known["named"] == named:
            raise Refused("E00039", f"A duplicate record with ID {id_} already exists.")
    id_ = books.number()
    books.profiles[id_] = {"named": named, "methods": {}}
    lists = ("customerPaymentProfileIdList", "customerShippingAddressIdList", "validationDirectResponseList")
    return {"customerProfileId": id_, **{name: [] for name in lists}, "messages": OK}


def store(books: Books, profile_id: str, number: str, expires: str, does: str = "approve") -> str:
    """A card comes to a profile, by the payer on the gateway's own page; its id."""
    id_ = books.number()
    card = {"number": f"XXXX{number[-4:]}", "brand": BRANDS.get(number[:1], "Visa"), "expires": expires, "does": does}
    books.profiles[profile_id]["methods"][id_] = card
    return id_


def payment_profile(books: Books, profile_id: str, method_id: str) -> Doc:
    """Raises Refused: E00040."""
    known = books.profiles.get(profile_id, {"methods": {}})["methods"].get(method_id)
    if known is None:
        raise Refused("E00040", "Customer Profile ID or Customer Payment Profile ID not found.")
    return known


def get(books: Books, request: Doc) -> Doc:
    known = books.profiles.get(str(request.get("customerProfileId", "")))
    if known is None:
        raise Refused("E00040")
    shown = {**known["named"], "customerProfileId": str(request["customerProfileId"])}
    if known["methods"]:
        shown["paymentProfiles"] = [_shown(id_, card, request) for id_, card in known["methods"].items()]
    return {"profile": shown, "messages": OK}


def get_method(books: Books, request: Doc) -> Doc:
    ids = (str(request["customerProfileId"]), str(request.get("customerPaymentProfileId", "")))
    shown = {"customerProfileId": ids[0], **_shown(ids[1], payment_profile(books, *ids), request)}
    return {"paymentProfile": shown, "messages": OK}


def delete_method(books: Books, request: Doc) -> Doc:
    ids = (str(request["customerProfileId"]), str(request["customerPaymentProfileId"]))
    payment_profile(books, *ids)
    del books.profiles[ids[0]]["methods"][ids[1]]
    return {"messages": OK}


def _shown(id_: str, card: Doc, request: Doc) -> Doc:
    """customerPaymentProfileMaskedType"""
    unmasked = str(request.get("unmaskExpirationDate", "")).lower() in ("true", "1")
    shown = {"cardNumber": card["number"], "expirationDate": card["expires"] if unmasked else "XXXX"}
    return {"customerPaymentProfileId": id_, "payment": {"creditCard": {**shown, "cardType": card["brand"]}}}
