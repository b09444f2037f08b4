"""Where the data files are: in the wheel beside the package, in a checkout at its root. Imports nothing but errors.

`mappings/` and `conformance/` are data that an analyst reviews, so they stand outside the code; hatchling puts them
into the wheel as `fhirpay/_data/…` (pyproject.toml). Whoever reads them asks here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from .errors import InvariantBroken

Kind = Literal["mappings", "conformance"]

_PACKAGE = Path(__file__).resolve().parent


def data_root(kind: Kind) -> Path:
    """The folder `mappings` or `conformance`. Raises InvariantBroken when the installation lacks it."""
    for candidate in (_PACKAGE / "_data" / kind, _PACKAGE.parent.parent / kind):
        if candidate.is_dir():
            return candidate
    raise InvariantBroken(f"the folder '{kind}' is missing: this installation of fhirpay is not complete")
