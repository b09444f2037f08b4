"""Required bindings: the only codes that FHIR allows in an element. Read by models.py; a code is not guessed.

Keyed by element path, data types by their own name (`HumanName.use` holds wherever a name is). The library that
knows the elements doesn't check codes, and its lists have faults (Encounter.status ends in '+'), so they stand here.
`REQUIRED` is R4's (R4B has the same), `REQUIRED_R5` R5's, of what we take, serve and send in R5.
To accept another code there is nothing to do: a required binding can't be extended.
"""

from __future__ import annotations


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


_GENDER = _codes("male female other unknown")
_ENCOUNTER = _codes("planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown")
_PRICE = _codes("base surcharge deduction discount tax informational")
_COMPARATOR = _codes("< <= >= >")
_BUNDLES = _codes("document message transaction transaction-response batch batch-response history searchset collection")
_UNIT_OF_TIME = _codes("s min h d wk mo a")
_DAYS = _codes("mon tue wed thu fri sat sun")
_FM_STATUS = _codes("active cancelled draft entered-in-error")
_ARTIFACT = _codes("documentation justification citation predecessor successor derived-from depends-on composed-of")
_QUANTITIES = ("Age", "Count", "Distance", "Duration", "Quantity")

_DATA_TYPES: dict[str, frozenset[str]] = {
    "Address.type": _codes("postal physical both"),
    "Address.use": _codes("home work temp old billing"),
    "ContactPoint.system": _codes("phone fax email pager url sms other"),
    "ContactPoint.use": _codes("home work temp old mobile"),
    "DataRequirement.sort.direction": _codes("ascending descending"),
    "HumanName.use": _codes("usual official temp nickname anonymous old maiden"),
    "Identifier.use": _codes("usual official temp secondary old"),
    "Narrative.status": _codes("generated extensions additional empty"),
    "ParameterDefinition.use": _codes("in out"),
    "Timing.repeat.dayOfWeek": _DAYS,
    "Timing.repeat.durationUnit": _UNIT_OF_TIME,
    "Timing.repeat.periodUnit": _UNIT_OF_TIME,
    "TriggerDefinition.type": _codes(
        "named-event periodic data-changed data-added data-modified data-removed data-accessed data-access-ended"
    ),
}
_EPISODE = _codes("planned waitlist active onhold finished cancelled entered-in-error")
# Of elements that have the same codes in both.
_ALIKE: dict[str, frozenset[str]] = {
    "Account.status": _codes("active inactive entered-in-error on-hold unknown"),
    "ChargeItem.status": _codes("planned billable not-billable aborted billed entered-in-error unknown"),
    "Invoice.status": _codes("draft issued balanced cancelled entered-in-error"),
    "Patient.gender": _GENDER,
    "Patient.contact.gender": _GENDER,
    "Patient.link.type": _codes("replaced-by replaces refer seealso"),
    "RelatedPerson.gender": _GENDER,
    "Bundle.entry.request.method": _codes("GET HEAD POST PUT DELETE PATCH"),
}
_PAYMENTS: dict[str, frozenset[str]] = {
    "PaymentNotice.status": _FM_STATUS,
    "PaymentReconciliation.status": _FM_STATUS,
    "PaymentReconciliation.outcome": _codes("queued complete error partial"),
    "PaymentReconciliation.processNote.type": _codes("display print printoper"),
}

REQUIRED: dict[str, frozenset[str]] = {
    # the resources we take and send
    **_ALIKE,
    "Appointment.status": _codes(
        "proposed pending booked arrived fulfilled cancelled noshow entered-in-error checked-in waitlist"
    ),
    "Appointment.participant.required": _codes("required optional information-only"),
    "Appointment.participant.status": _codes("accepted declined tentative needs-action"),
    "Coverage.status": _FM_STATUS,
    "Encounter.status": _ENCOUNTER,
    "Encounter.statusHistory.status": _ENCOUNTER,
    "Encounter.location.status": _codes("planned active reserved completed"),
    "Invoice.lineItem.priceComponent.type": _PRICE,
    "Invoice.totalPriceComponent.type": _PRICE,
    **_PAYMENTS,
    # what stands inside them
    "CareTeam.status": _codes("proposed active suspended inactive entered-in-error"),
    "EpisodeOfCare.status": _EPISODE,
    "EpisodeOfCare.statusHistory.status": _EPISODE,
    "Procedure.status": _codes("preparation in-progress not-done on-hold stopped completed entered-in-error unknown"),
    "Provenance.entity.role": _codes("derivation revision quotation source removal"),
    # what wraps them
    "Bundle.type": _BUNDLES,
    "Bundle.entry.search.mode": _codes("match include outcome"),
    # the data types in them
    **_DATA_TYPES,
    "Contributor.type": _codes("author editor reviewer endorser"),
    "RelatedArtifact.type": _ARTIFACT,
    **{f"{kind}.comparator": _COMPARATOR for kind in _QUANTITIES},
}

REQUIRED_R5: dict[str, frozenset[str]] = {
    **_ALIKE,
    "Bundle.type": _BUNDLES | {"subscription-notification"},
    "Bundle.entry.search.mode": _codes("match include"),  # what isn't found is told in Bundle.issues
    "MonetaryComponent.type": _PRICE,
    "Provenance.entity.role": _codes("quotation revision source instantiates removal"),
    **_PAYMENTS,
    **_DATA_TYPES,
    "Availability.availableTime.daysOfWeek": _DAYS,
    "DataRequirement.valueFilter.comparator": _codes("eq gt lt ge le sa eb"),
    "RelatedArtifact.publicationStatus": _codes("draft active retired unknown"),
    "RelatedArtifact.type": _ARTIFACT
    | _codes(
        "part-of amends amended-with appends appended-with cites cited-by comments-on comment-in contains contained-in "
        "corrects correction-in replaces replaced-with retracts retracted-by signs similar-to supports supported-with "
        "transforms transformed-into transformed-with documents specification-of created-with cite-as"
    ),
    **{f"{kind}.comparator": _COMPARATOR | {"ad"} for kind in _QUANTITIES},
}
