"""JSON Patch by RFC 6902: its own examples, the places of errors, digits, and what a hostile patch can't do."""

from __future__ import annotations

from typing import Any

import pytest

from fhirpay.errors import FhirpayError, MessageInvalid, RequiredMissing, RuleBroken, TooLarge, ValueInvalid
from fhirpay.fhir.json import dumps, loads
from fhirpay.fhir.patch import apply, read


def patched(document: str, patch: str) -> str:
    return dumps(apply(loads(document), read(patch.encode())))


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [  # RFC 6902, appendix A
        ('{"foo":"bar"}', '[{"op":"add","path":"/baz","value":"qux"}]', '{"foo":"bar","baz":"qux"}'),
        ('{"foo":["a","b"]}', '[{"op":"add","path":"/foo/1","value":"q"}]', '{"foo":["a","q","b"]}'),
        ('{"baz":"q","foo":"b"}', '[{"op":"remove","path":"/baz"}]', '{"foo":"b"}'),
        ('{"foo":["a","q","b"]}', '[{"op":"remove","path":"/foo/1"}]', '{"foo":["a","b"]}'),
        ('{"baz":"q","foo":"b"}', '[{"op":"replace","path":"/baz","value":"boo"}]', '{"baz":"boo","foo":"b"}'),
        (
            '{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}',
            '[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]',
            '{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}',
        ),
        ('{"foo":["a","g","c","e"]}', '[{"op":"move","from":"/foo/1","path":"/foo/3"}]', '{"foo":["a","c","e","g"]}'),
        (
            '{"baz":"qux","foo":["a",2,"c"]}',
            '[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]',
            '{"baz":"qux","foo":["a",2,"c"]}',
        ),
        ('{"foo":"bar"}', '[{"op":"add","path":"/child","value":{"g":{}}}]', '{"foo":"bar","child":{"g":{}}}'),
        ('{"foo":"bar"}', '[{"op":"add","path":"/baz","value":"qux","xyz":123}]', '{"foo":"bar","baz":"qux"}'),
        ('{"/":9,"~1":10}', '[{"op":"test","path":"/~01","value":10}]', '{"/":9,"~1":10}'),
        ('{"foo":["bar"]}', '[{"op":"add","path":"/foo/-","value":["a"]}]', '{"foo":["bar",["a"]]}'),
        (
            '{"a":{"b":1}}',
            '[{"op":"copy","from":"/a","path":"/c"},{"op":"remove","path":"/a/b"}]',
            '{"a":{},"c":{"b":1}}',
        ),
        ('{"a":1}', '[{"op":"replace","path":"","value":{"b":2}}]', '{"b":2}'),
        ('{"a":1}', '[{"op":"move","from":"/a","path":"/a"}]', '{"a":1}'),
        ('{"a":{"value":40.00}}', '[{"op":"replace","path":"/a/value","value":125.500}]', '{"a":{"value":125.500}}'),
        (
            '{"a":40.00}',
            '[{"op":"test","path":"/a","value":40.0},{"op":"add","path":"/b","value":1}]',
            '{"a":40.00,"b":1}',
        ),
        ('{"a":1}', "[]", '{"a":1}'),
    ],
)
def test_what_a_patch_makes(document: str, patch: str, result: str) -> None:
    assert patched(document, patch) == result


@pytest.mark.parametrize(
    ("operation", "error", "place"),
    [
        ('{"op":"test","path":"/foo","value":"x"}', RuleBroken, "path"),
        ('{"op":"test","path":"/one","value":true}', RuleBroken, "path"),
        ('{"op":"test","path":"/one","value":"1"}', RuleBroken, "path"),
        ('{"op":"add","path":"/baz/bat","value":"q"}', RuleBroken, "path"),
        ('{"op":"add","path":"/list/3","value":"q"}', RuleBroken, "path"),
        ('{"op":"add","path":"/list/01","value":"q"}', RuleBroken, "path"),
        ('{"op":"replace","path":"/list/-","value":"q"}', RuleBroken, "path"),
        ('{"op":"replace","path":"/none","value":"q"}', RuleBroken, "path"),
        ('{"op":"remove","path":"/foo/x"}', RuleBroken, "path"),
        ('{"op":"move","from":"/deep","path":"/deep/in"}', RuleBroken, "path"),
        ('{"op":"copy","from":"/none","path":"/x"}', RuleBroken, "from"),
        ('{"op":"add","path":"/x"}', RequiredMissing, "value"),
        ('{"op":"move","path":"/x"}', RequiredMissing, "from"),
        ('{"op":"remove"}', RequiredMissing, "path"),
        ('{"op":"spam","path":"/x"}', ValueInvalid, "op"),
        ('{"op":"add","path":"x","value":1}', ValueInvalid, "path"),
        ('{"op":"add","path":"/~2","value":1}', ValueInvalid, "path"),
        ('{"op":"add","path":7,"value":1}', ValueInvalid, "path"),
    ],
)
def test_what_can_not_be_done_is_told_by_its_place(operation: str, error: type[FhirpayError], place: str) -> None:
    document = '{"foo":"bar","one":1,"list":["a","b"],"deep":{"in":{}}}'
    with pytest.raises(error) as refused:
        patched(document, f'[{{"op":"test","path":"","value":{document}}},{operation}]')
    assert refused.value.location == f"patch[1].{place}"


@pytest.mark.parametrize("body", ['{"op":"add"}', "[1]", "[],[]", '[],"x":1', "", '[{"op":"remove","path":"/a"'])
def test_what_is_no_patch(body: str) -> None:
    with pytest.raises(MessageInvalid):
        read(body.encode())


def test_a_patch_makes_nothing_that_is_endless() -> None:
    document = '{"a":{"b":[1,2,3,4,5,6,7,8]}}'
    with pytest.raises(TooLarge):
        patched(document, "[" + ",".join(f'{{"op":"copy","from":"","path":"/c{n}"}}' for n in range(40)) + "]")
    nested = ",".join(f'{{"op":"move","from":"/p{n}","path":"/p{n + 1}/x"}}' for n in range(150))
    with pytest.raises(MessageInvalid, match="nesting"):
        patched(dumps({f"p{n}": {} for n in range(151)}), f"[{nested}]")
    with pytest.raises(TooLarge):
        read(b"[" + b",".join([b'{"op":"remove","path":"/a"}'] * 201) + b"]")


def test_the_resource_itself_stays_as_it_is_when_a_later_operation_fails() -> None:
    kept: dict[str, Any] = {"a": [1]}
    with pytest.raises(RuleBroken):
        apply(kept, read(b'[{"op":"add","path":"/a/-","value":2},{"op":"remove","path":"/b"}]'))
    assert kept == {"a": [1]}
