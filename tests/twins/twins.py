"""Inferno's tests of SMART and bulk servers and clients, the tests of ours that ask the same, and a mutant for each.

`twins.toml` is the list; test_twins.py keeps it whole and true to the source. `make mutants` plants each mutant in a
copy of the program, runs its twin alone (on SQLite), and says whether it saw red: MUTANTS=introspection those whose
name, role, test or file has that word.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
_FAILED = re.compile(r"\b(\d+) failed\b")
_LIMIT_S = 300


@dataclass(frozen=True)
class Twin:
    """`test` is a node of pytest below tests/, `file` a module below src/fhirpay; with `why` there is neither: it is
    said why we don't play this role."""

    name: str
    role: str
    why: str = ""
    test: str = ""
    file: str = ""
    find: str = ""
    replace: str = ""

    @property
    def words(self) -> str:
        return f"{self.name} {self.role} {self.test} {self.file}"

    def mutated(self, source: Path) -> str:
        """The module with the mutant in it, below a copy of src/."""
        text = (source / "fhirpay" / self.file).read_text(encoding="utf-8")
        assert text.count(self.find) == 1, f"{self.file} has this {text.count(self.find)} times:\n{self.find}"
        return text.replace(self.find, self.replace)


def twins() -> list[Twin]:
    found = tomllib.loads((Path(__file__).parent / "twins.toml").read_text(encoding="utf-8"))
    return [Twin(name, **one) for name, several in found.items() for one in several]


class Copy:
    """The program in a folder of its own, which tests import instead of ours."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "src"
        shutil.copytree(ROOT / "src", self.source, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("mappings", "conformance"):
            (folder / name).symlink_to(ROOT / name)
        # By hash: a mutant is written within the second in which its module was.
        compileall.compile_dir(self.source, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
        self._libraries()

    def _libraries(self) -> None:
        """All that the program imports but itself, once: a run is then a fork, and half as dear."""
        names = "import sys, fhirpay.wiring; print(*(name for name in sys.modules if 'fhirpay' not in name))"
        found = subprocess.run([sys.executable, "-c", names], capture_output=True, text=True, check=True).stdout
        for name in found.split():
            with contextlib.suppress(ImportError):
                importlib.import_module(name)

    def verdict(self, tests: list[str]) -> tuple[str, str]:
        """ "red", "green" or "broken" where no test came to fail or pass; and what was printed."""
        nodes = [str(ROOT / "tests" / one) for one in tests]
        with tempfile.TemporaryFile() as printed:
            child = os.fork()
            if child == 0:
                self._child(nodes, printed.fileno())
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            printed.seek(0)
            text = printed.read().decode("utf-8", "replace")
        if code == 1 and _FAILED.search(text):
            return "red", text
        return ("green" if code == 0 and "skipped" not in text else "broken"), text

    def _child(self, nodes: list[str], output: int) -> NoReturn:
        code: int = 70
        try:
            signal.alarm(_LIMIT_S)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.chdir(ROOT)
            sys.path.insert(0, str(self.source))
            sys.dont_write_bytecode = True
            where = importlib.import_module("fhirpay").__file__ or ""
            if Path(where).is_relative_to(self.source):
                # Of a library that is a plugin too: it was imported before pytest could.
                quiet = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
                code = pytest.main(["-x", *quiet, "-k", "not postgresql", *nodes])
            sys.stdout.flush()
        finally:
            os._exit(code)

    def with_mutant(self, twin: Twin) -> tuple[str, str]:
        module = self.source / "fhirpay" / twin.file
        sound = module.read_text(encoding="utf-8")
        module.write_text(twin.mutated(self.source), encoding="utf-8")
        try:
            return self.verdict([twin.test])
        finally:
            module.write_text(sound, encoding="utf-8")


def planted(word: str = "") -> Iterator[tuple[Twin, str, str]]:
    """Each mutant and the verdict on it. First all twins together, without any mutant: they have to be green."""
    chosen = [one for one in twins() if one.test and word in one.words]
    with tempfile.TemporaryDirectory(prefix="fhirpay-mutants-") as folder:
        copy = Copy(Path(folder))
        verdict, printed = copy.verdict(sorted({one.test for one in chosen}))
        if verdict != "green":
            sys.exit(f"the twins are {verdict} without a mutant:\n{printed}")
        for one in chosen:
            yield one, *copy.with_mutant(one)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    count, survived = 0, list[str]()
    for one, verdict, printed in planted(parser.parse_args().only):
        count += 1
        print(f"{verdict:<6} {one.name} · {one.role} · {one.test.rpartition('::')[2]} · {one.file}", flush=True)
        if verdict != "red":
            survived.append(f"{one.test}\nwith this in {one.file}:\n{one.replace}\n{printed}")
    print(f"{count - len(survived)} of {count} mutants were seen")
    if survived or not count:
        sys.exit("\n\n".join(survived) or "no mutant is called that")


if __name__ == "__main__":
    main()
