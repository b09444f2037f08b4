"""What a mapping file may say: the grammar, checked by pydantic, with the line of whatever is wrong.

A file of `mappings/` is one of

* a message: `message: DFT^P03` and `include: [segments/pid_patient, …]`, perhaps with rules of its own;
* a piece that messages include: `rules: […]`;
* a site's overlay, `mappings/<site>/<any>.yaml`: `rules:` whose `rule:` names one of the base are laid over it,
  element by element (`null` takes an element away, `drop: true` the rule); a new one says `message:` and `after:`.

A rule makes one resource for each segment `each` (or adds to one: `into`; or parks the line: `park`; or passes it
over: `ignore`). Its keys are
those of `RuleSpec`; every other key is a FHIR element, so the rule reads like the resource. An element's value is
a literal, a list, an object, or an expression (`ExpressionSpec`): where it comes from, as which datatype, what else.
Conditions are those of `ConditionSpec`. Nothing computes; what must think is a named function (`functions.py`).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

EXTENSION_PREFIX = "ext:"  # `url: ext:copay-due` is our extension of that name

Condition = dict[str, Any]


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


AccountRule = Literal["any", "new", "known"]
"""What a message expects of its account: nothing; that it makes it known (else it is flagged); that it is known, else
the message waits for it."""


class WarnSpec(_Spec):
    """Something that a human should know, while the rule goes on."""

    when: Condition
    says: str
    at: str = ""  # the field it is about


class ParkSpec(_Spec):
    """The line waits for a human."""

    code: str = Field(pattern=r"^[a-z]+(-[a-z]+)*$")
    reason: str = Field(min_length=10)
    at: str = ""  # the field it is about
    table: str = ""  # the code table that has no line for it: it is tried again once there is one


class RuleSpec(BaseModel):
    """One rule. Keys that aren't listed here are FHIR elements."""

    model_config = ConfigDict(extra="allow", frozen=True)

    rule: str = Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")
    why: str = ""
    each: str | None = Field(default=None, pattern=r"^[A-Z][A-Z0-9]{2}$")
    sort: str | None = None  # segments in the order of this field's number
    when: Condition | None = None
    claims: bool = False  # a segment goes to the first claiming rule that takes it; its errors park it
    like: str | None = None  # starts from another rule's elements
    resource: str | None = Field(default=None, pattern=r"^[A-Z][A-Za-z]+$")
    into: str | None = None  # adds to what another rule made
    park: ParkSpec | None = None
    ignore: str | None = Field(default=None, min_length=10)  # why the segment says nothing that we need
    warn: tuple[WarnSpec, ...] = ()
    adds: Condition | None = (
        None  # where it holds, the lists that it makes are laid into those kept, not in their place
    )
    clears: Condition | None = None  # where it holds, what is kept of its elements is taken away
    # in overlays only
    drop: bool = False
    message: str | tuple[str, ...] | None = None
    after: str | None = None

    @property
    def elements(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class FileSpec(_Spec):
    message: str | None = Field(default=None, pattern=r"^[A-Z]{3}\^[A-Z0-9]{3}$")
    account: AccountRule = "any"  # of a message
    why: str = ""
    include: tuple[str, ...] = ()
    rules: tuple[RuleSpec, ...] = ()


class ExpressionSpec(_Spec):
    """Where an element's value comes from. Exactly one of from, each, function, key, ref, is."""

    from_: str | tuple[str, ...] | None = Field(default=None, alias="from")  # several: the first that is valued
    each: str | None = None  # every repetition of the field: a list
    function: str | None = None
    of: tuple[str, ...] = ()
    key: tuple[Any, ...] | None = None  # an identifier put together; see functions.KEY_WORDS
    kind: str | None = None  # with key: the last part of its system
    ref: str | tuple[str, ...] | None = None  # what another rule made: a Reference; several: the first that exists
    is_: Any = Field(default=None, alias="is")
    as_: str = Field(default="string", alias="as")
    map: str = ""  # code table
    table: str = Field(default="", pattern=r"^(\d{4})?$")  # HL7 table: system of a code that names none
    use: str = ""  # use of a telecom that names none
    default: Any = None
    assume: Any = None  # like default, but never over a value that is stored
    else_: Any = Field(default=None, alias="else")
    when: Condition | None = None
    clear: Condition | None = None  # where it holds, the stored value is taken away
    required: bool = False
    why: str = ""

    @property
    def paths(self) -> tuple[str, ...]:
        return () if self.from_ is None else (self.from_,) if isinstance(self.from_, str) else self.from_


_MARKS = frozenset({"from", "key", "ref", "is"})


def is_expression(value: dict[str, Any]) -> bool:
    """An object of a rule is an expression when it says where its value comes from, else a FHIR object."""
    return bool(_MARKS & value.keys()) or isinstance(value.get("function"), str) or {"each", "as"} <= value.keys()


CONDITION_WORDS: dict[str, str] = {
    "valued": "these fields all say something",
    "empty": "none of these fields says anything",
    "nulled": 'the segment says nothing but "", and perhaps its Set ID: the sender takes all of its kind away',
    "deleted": 'these fields were all sent as ""',
    "any": "one of these conditions holds",
    "not": "this condition doesn't hold",
    "interface": "the interface's setting has this value",
    "listed": "the interface's list (self_pay_classes) holds this field's value",
    "version_from": "MSH-12 is this or newer",
    "version_below": "MSH-12 is older than this",
    "coded": "the code table `by` turns this field's code into this one: {FT1-6: CG, by: transaction-type}",
    "unmapped": "these fields have a code without a line in the code table: {PV1-2: patient-class}",
    "event": "the trigger event is this one, or one of these",
    "account": "the message names its account (`named`), or doesn't (`unnamed`): account_key of the interface",
    "disjoint": "the two fields both say something, and no number of the one is among those of the other",
    "differs": "the two names or values are both there and not the same",
    "self": "this field says that it is the patient",
}
"""Words of a condition; every other key is a field, with the value (or values) that it must have."""
