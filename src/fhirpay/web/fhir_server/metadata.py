"""The CapabilityStatement as served: conformance/CapabilityStatement-fhirpay.json with this server's address in it.

To declare something, edit that file; a test exercises every line of it, and looks for what works undeclared.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from ...data import data_root
from ...fhir.json import loads

FILE = "CapabilityStatement-fhirpay.json"


def capability_statement(base_url: str) -> dict[str, Any]:
    statement = loads((data_root("conformance") / FILE).read_bytes())
    statement["url"] = f"{base_url}/metadata"
    statement["software"]["version"] = version("fhirpay")
    statement["implementation"]["url"] = base_url
    return statement
