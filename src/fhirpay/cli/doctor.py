"""`fhirpay doctor`: does everything that is kept agree with itself?"""

from __future__ import annotations

import json
from dataclasses import asdict

from ..errors import InvariantBroken
from ..usecases.doctor import Finding, examine
from .context import ConfigOption, JsonOption, TenantOption, friendly, out, reading, run


def doctor(tenant: TenantOption = "", config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check billing, payments, ledger and queues against each other. Status 1 when anything is wrong."""

    async def main() -> list[Finding]:
        async with reading(config, tenant) as units:
            return await units.read(examine)

    with friendly():
        findings = run(main)
        if as_json:
            out(json.dumps([asdict(one) for one in findings]))
        else:
            for finding in findings:
                out(str(finding))
            out(f"{len(findings)} things don't agree" if findings else "everything agrees")
        if findings:
            raise InvariantBroken("what is kept doesn't agree with itself; nothing was changed")
