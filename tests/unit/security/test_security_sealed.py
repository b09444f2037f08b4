"""What is sealed opens again whole, as large as a file may be, and to nobody else."""

from __future__ import annotations

import pytest

from fhirpay.errors import InvariantBroken
from fhirpay.security.sealed import seal_file, unseal_file
from fhirpay.usecases.take_bank_file import FILE_MAX

KEY = b"a key of tests that is long enough"


@pytest.mark.parametrize("size", [0, 70_000, FILE_MAX])
def test_a_file_of_any_size_that_is_taken_in_opens_again(size: int) -> None:
    data = bytes(size)
    sealed = seal_file(KEY, "bank-file:1", data)
    assert unseal_file(KEY, "bank-file:1", sealed) == data
    with pytest.raises(InvariantBroken):
        unseal_file(KEY, "bank-file:2", sealed)
