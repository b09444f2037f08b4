"""Keep the end of a seed's world, at this program's schema: `python keep_database.py SEED`, when a release is made.

A later release is tested to take it over whole (kept_databases.py).
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from simulate import check

from fhirpay.db.migrations import head
from kept_databases import KEPT, lines


def main(seed: int) -> None:
    (KEPT / f"{head()}.jsonl").write_text("\n".join(lines(check(seed).inline.raw)) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
