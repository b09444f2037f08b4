"""Released mappings: a site's own folder frozen under `released/`, so that a server never runs what is being worked on.

    mappings/                     the working copy (setting `mappings`), what `fhirpay map` shows
      clinic/…yaml, codes/…csv
      released/releases.jsonl     one line a release: its hash, who, when, why; the last one is in force
      released/<hash>/…           what was released, byte for byte

`fhirpay map release` writes it. A server looks at the list before each message and takes a new release by itself; one
that can't be used is told in the log, and the one before stays.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from ..config import Interface
from ..data import data_root
from ..errors import ConfigInvalid
from ..log import Log
from .loader import RELEASED, Maps, Sources, load

log = Log("mapping")

FOLDER, LIST = RELEASED, "releases.jsonl"


@dataclass(frozen=True, slots=True)
class Release:
    hash: str
    by: str
    at: str
    why: str = ""
    accepted: tuple[str, ...] = ()  # the differences in money that were seen and accepted


def content_hash(folder: Path) -> str:
    """Of every file of a working copy or a release, with its name."""
    digest = hashlib.sha256()
    for path in _files(folder):
        name, content = path.relative_to(folder).as_posix().encode(), path.read_bytes()
        digest.update(b"%d:%s%d:%s" % (len(name), name, len(content), content))
    return digest.hexdigest()


def releases(own: Path) -> list[Release]:
    """All of them, oldest first. Raises ConfigInvalid when the list can't be read."""
    path = own / FOLDER / LIST
    if not path.is_file():
        return []
    found: list[Release] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            said = json.loads(line)
            found.append(Release(**{**said, "accepted": tuple(said.get("accepted", ()))}))
        except (ValueError, TypeError, AttributeError):
            raise ConfigInvalid("not a release", location=f"{path.as_posix()}:{number}") from None
    return found


def current(own: Path) -> Release | None:
    """The one in force."""
    return next(iter(releases(own)[-1:]), None)


def folder_of(own: Path, release: Release) -> Path:
    """Where it is kept. Raises ConfigInvalid when it is gone, or not what was released any more."""
    folder = own / FOLDER / release.hash[:16]
    if not folder.is_dir() or content_hash(folder) != release.hash:
        raise ConfigInvalid(
            "the mappings released there were changed since: release the working copy anew (`fhirpay map release`)",
            location=folder.as_posix(),
        )
    return folder


def release(own: Path, *, by: str, at: datetime, why: str = "", accepted: Iterable[str] = ()) -> Release:
    """Freeze the working copy and put it in force; the one in force, when it is the same. Raises ConfigInvalid."""
    if not own.is_dir():
        raise ConfigInvalid(f"there is no folder {own.as_posix()}: make it, with a folder in it for each site")
    for site in sites(own):
        Sources(data_root("mappings"), site, own).maps()  # what can't be read is not released
    digest = content_hash(own)
    before = current(own)
    if before is not None and before.hash == digest:
        return before
    made = Release(digest, by, at.isoformat(), why, tuple(accepted))
    target, building = own / FOLDER / digest[:16], own / FOLDER / f".{digest[:16]}"
    shutil.rmtree(building, ignore_errors=True)
    for path in _files(own):
        copy = building / path.relative_to(own)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    if content_hash(building) != digest:
        raise ConfigInvalid("a file was changed while it was copied: release again", location=own.as_posix())
    shutil.rmtree(target, ignore_errors=True)  # an earlier release of the same files
    building.rename(target)
    with (own / FOLDER / LIST).open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(made)) + "\n")
        lines.flush()
        os.fsync(lines.fileno())
    return made


def sites(own: Path) -> list[str]:
    """The sites that have a folder of their own."""
    return sorted(path.name for path in own.iterdir() if path.is_dir() and _counts(path.name)) if own.is_dir() else []


def released_root(own: Path | None) -> Path | None:
    """The folder that servers read; None where nothing is the site's own, or nothing of it is released."""
    found = current(own) if own is not None else None
    return folder_of(own, found) if own is not None and found is not None else None


def released_maps(own: Path | None, interface: Interface) -> Maps:
    """What servers run for an interface: the installed base alone where nothing is released for its site yet."""
    root = released_root(own)
    known = interface.mapping in (sites(root) if root is not None else ()) or interface.mapping not in (
        sites(own) if own is not None else ()
    )
    return load(interface.mapping if known else "", None, root)


class Released:
    """The maps that a server runs for its interfaces."""

    def __init__(self, own: Path | None, interfaces: Sequence[Interface]) -> None:
        """Raises ConfigInvalid for a mistake in a file: it shows at start, not with the first message."""
        self._own = own
        self._interfaces = interfaces
        self._seen = self._stamp()
        self._root = self._usable()

    def of(self, interface: Interface) -> Maps:
        """Raises ConfigInvalid when the site's files are wrong, or not released."""
        return load(interface.mapping, None, self.root)

    @property
    def root(self) -> Path | None:
        """The folder that is in force, for another process; None: the installed mappings alone."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            self._take()
        return self._root

    @property
    def in_force(self) -> str:
        """What is in force, and by whom, for people."""
        if self._own is None or self._root is None:
            return "the installed mappings"
        found = next((one for one in reversed(releases(self._own)) if one.hash[:16] == self._root.name), None)
        return f"mappings {self._root.name}" + (f", released by {found.by}" if found is not None else "")

    def _usable(self) -> Path | None:
        root = released_root(self._own)
        for interface in self._interfaces:
            try:
                load(interface.mapping, None, root)
            except ConfigInvalid as error:
                if interface.mapping not in (sites(self._own) if self._own is not None and root is None else ()):
                    raise
                raise ConfigInvalid(
                    f"mappings of '{interface.mapping}' are there, but not released: run `fhirpay map release`"
                ) from error
        return root

    def _take(self) -> None:
        try:
            root = self._usable()
        except ConfigInvalid as error:
            log.error("mapping.release_unusable", location=error.location)
        else:
            self._root = root
            log.info("mapping.released", version=root.name if root is not None else "")

    def _stamp(self) -> tuple[int, int]:
        if self._own is None:
            return 0, 0
        try:
            found = (self._own / FOLDER / LIST).stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_size


def _files(folder: Path) -> list[Path]:
    """What counts of a folder: not what was released of it, nothing hidden."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if all(map(_counts, path.relative_to(folder).parts)))


def _counts(name: str) -> bool:
    return name != FOLDER and not name.startswith(".")
