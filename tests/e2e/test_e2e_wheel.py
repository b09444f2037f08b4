"""The wheel, as somebody gets it: built, unpacked elsewhere, run from there with nothing of the checkout in reach."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from demo_runs import PORTS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the wheel was installed."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("fhirpay-*.whl")
    target = folder / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True, timeout=120)
    return target


def _run(installed: Path, *arguments: str) -> str:
    """The command from the wheel; the folder comes before the checkout's own on the path."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    code = "import sys, fhirpay.cli.start as m; sys.argv[0] = 'fhirpay'; print(m.__file__, file=sys.stderr); m.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
        cwd=installed.parent,
        timeout=120,
    )
    assert str(installed) in done.stderr
    return done.stdout


def test_maps_come_with_the_wheel(installed: Path) -> None:
    sample = ROOT / "tests" / "samples" / "DFT-P03-01.hl7"
    bundle = json.loads(_run(installed, "map", str(sample), "--json", "--interface", "sample").splitlines()[0])
    assert bundle["resourceType"] == "Bundle"


def test_the_whole_demo_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    last = _run(installed, "demo", "--once", "--folder", str(tmp_path / "demo"), "--ports", str(PORTS)).splitlines()[-1]
    assert json.loads(last)["resourceType"] == "PaymentReconciliation"
