"""What is posted to an EHR is refused at start where it could not work."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_config import MERCHANT

from fhirpay import config
from fhirpay.errors import ConfigInvalid

AGREED = '[tenants.connections.financial_transaction]\npayment_alias = "0111"'


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (f'writes = ["Basic", "PaymentReconciliation"]\n{AGREED}', "its cash would count twice"),
        ('writes = ["PaymentNotice"]\norganization = "clinic"', "write that too"),
        ('writes = ["PaymentReconciliation", "PaymentNotice"]', "`organization` is its id there"),
        ('writes = ["Provenance"]', "write that too"),
        ('writes = ["Invoice"]', "write that too"),
        ('writes = ["Basic"]', "belong together"),
        (AGREED, "belong together"),
        (f'writes = ["Basic"]\nfhir_version = "R5"\n{AGREED}', "is a Basic of R4"),
        ('writes = ["Basic"]\n[tenants.connections.financial_transaction]\nrefund_alias = "0112"', "payment_alias"),
    ],
)
def test_write_back_that_could_not_work_is_refused(tmp_path: Path, lines: str, says: str) -> None:
    path = tmp_path / "a.toml"
    connection = f'[[tenants.connections]]\nname = "ehr"\nbase_url = "https://ehr.example/fhir"\n{lines}\n'
    path.write_text(MERCHANT.format(lease_s=60, timeout_s=10, descriptor="") + connection, encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=says):
        config.load(path)


def test_what_is_agreed_for_financial_transactions_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    connection = (
        f'[[tenants.connections]]\nname = "ehr"\nbase_url = "https://ehr.example"\nwrites = ["Basic"]\n{AGREED}\n'
    )
    path.write_text(MERCHANT.format(lease_s=60, timeout_s=10, descriptor="") + connection, encoding="utf-8")
    agreed = config.load(path).tenant("main").connection("ehr").financial_transaction
    assert agreed is not None
    assert (agreed.payment_alias, agreed.refund_alias) == ("0111", "")
