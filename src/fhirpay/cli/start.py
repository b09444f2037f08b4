"""Where the command `fhirpay` begins. All it adds to `main` is a quicker start, and shorter pauses later.

While modules are imported nothing is garbage, and what they hold stays to the end: the collector is off meanwhile, and
never looks at it again. Else it would go through some 200,000 objects a dozen times before a command does anything, and
in `serve` again and again while senders wait for their acknowledgements.
"""

from __future__ import annotations

import gc


def main() -> None:
    gc.disable()
    from .main import app

    gc.freeze()
    gc.enable()
    app()
