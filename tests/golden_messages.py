"""The messages of tests/golden/hl7 and tests/samples: which files, whose profile, and what happens between messages.

A `.hl7` file holds one message or several in the order in which they come. Between them a line may say what happens
meanwhile: `# on 2026-03-10` (that day begins its afternoon), `# pay V0001 25.00` (the account's payer pays what is
asked for). A folder that is named after a site of `mappings/` uses that site's profile and maps, every other one the
`sample` profile.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from fhirpay.config import Interface
from fhirpay.data import data_root
from fhirpay.hl7.batch import read_batch
from fhirpay.mapping import loader

TESTS = Path(__file__).resolve().parent
GOLDEN = TESTS / "golden" / "hl7"
OWN = sorted(GOLDEN.rglob("*.hl7"))
PUBLIC = sorted((TESTS / "samples").glob("*.hl7"))
ALL = [*OWN, *PUBLIC]
SAYS = b"# "


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def profile_of(path: Path) -> Interface:
    """The profile that the file's folder names, else the one that ships as `sample`."""
    site = path.parent.name
    own = (data_root("mappings") / site / loader.PROFILE).is_file()
    return loader.interface(site if own else "sample")


def expected(path: Path, suffix: str) -> Path:
    """Where what should come of it is written down."""
    return GOLDEN / "samples" / f"{path.stem}{suffix}" if path in PUBLIC else path.with_suffix(suffix)


def messages_of(path: Path) -> bytes:
    """The file without what is said between its messages."""
    return b"".join(line for line in path.read_bytes().splitlines(keepends=True) if not line.startswith(SAYS))


def steps_of(path: Path) -> Iterator[bytes | str]:
    """Messages as bytes, and as text what happens between them, in order."""
    collected: list[bytes] = []
    for line in [*path.read_bytes().splitlines(keepends=True), SAYS]:
        if not line.startswith(SAYS):
            collected.append(line)
            continue
        yield from read_batch(b"".join(collected)).messages
        collected = []
        if says := line.removeprefix(SAYS).decode().strip():
            yield says


def check(path: Path, suffix: str, text: str) -> None:
    """`text` is what is written down; `make golden` writes it down."""
    file = expected(path, suffix)
    if os.environ.get("FHIRPAY_UPDATE_GOLDEN") == "1":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
