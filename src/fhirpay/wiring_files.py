"""Where an interface's files come from, by its settings: a folder of this machine, one at an SSH server, or both; and
where posting files go.

Called by `wiring`. SFTP is an optional part of the installation, and is looked for only where it is configured.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .config import Interface
from .config_posting_file import PostingFile
from .errors import ConfigInvalid
from .inbox.folder import Folder, LocalFolder
from .usecases.receive_hl7 import Hl7Intake
from .usecases.take_files import FileFeed
from .writeback.out_folder import LocalOutFolder, OutFolder


def file_feeds(intake: Hl7Intake, interface: Interface) -> list[FileFeed]:
    """Raises ConfigInvalid for keys that can't be used, and where SFTP isn't installed."""
    feeds: list[FileFeed] = []
    if interface.folder:
        feeds.append(_feed(intake, LocalFolder(Path(interface.folder)), interface))
    if interface.sftp is not None:
        with _installed(interface.name):
            from .inbox.remote_folder import RemoteFolder
            from .net.sftp import SftpServer
        folder = RemoteFolder(SftpServer(interface.name, interface.sftp), interface.sftp)
        feeds.append(_feed(intake, folder, interface, every_s=interface.sftp.every_s))
    return feeds


def out_folder(to: PostingFile) -> OutFolder:
    """Where its files go. Raises ConfigInvalid as above."""
    if to.sftp is None:
        return LocalOutFolder(Path(to.folder))
    with _installed(to.name):
        from .net.sftp import SftpServer
        from .writeback.remote_out_folder import RemoteOutFolder
    return RemoteOutFolder(SftpServer(to.name, to.sftp))


@contextmanager
def _installed(name: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        says = f"'{name}' has files go by SFTP, and {error.name} isn't installed"
        raise ConfigInvalid(f"{says}: install fhirpay[sftp]") from None


def _feed(intake: Hl7Intake, folder: Folder, interface: Interface, *, every_s: float | None = None) -> FileFeed:
    return FileFeed(
        intake,
        folder,
        settles_s=interface.folder_settles_s,
        every_s=every_s,
        pattern=interface.folder_pattern,
        marker=interface.folder_marker,
    )
