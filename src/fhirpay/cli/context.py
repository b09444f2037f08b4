"""What every command shares: settings, a database opened for the command, errors as one sentence and a status."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO, TypeVar

import psycopg
import typer
from sqlalchemy.exc import DBAPIError

from .. import log
from ..config import Settings, load
from ..db.unit import Database, Units, open_database
from ..domain.clock import SystemClock
from ..domain.ids import RandomIds
from ..errors import ConfigInvalid, FhirpayError, StorageUnavailable

T = TypeVar("T")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line feed

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Configuration file; else FHIRPAY_CONFIG, else ./fhirpay.toml.")
]
TenantOption = Annotated[str, typer.Option("--tenant", help="Whose data; may be left out where there is one.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]


@contextlib.contextmanager
def friendly() -> Iterator[None]:
    """An error of ours, of the system or of the database becomes a sentence on standard error, and status 1.

    Status 2 is for what has to be mended in the configuration or in the command.
    """
    try:
        yield
    except FhirpayError as error:
        typer.echo(shown(f"fhirpay: {error} [{error.code}]", sys.stderr), err=True)
        raise typer.Exit(2 if isinstance(error, ConfigInvalid) else 1) from None
    except (OSError, sqlite3.Error, psycopg.Error, DBAPIError) as error:
        # The driver's own words: the library around it would also quote the statement and its values.
        cause = error.orig if isinstance(error, DBAPIError) else error
        typer.echo(f"fhirpay: {str(cause).partition(chr(10))[0]} [{StorageUnavailable.code}]", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def content_of(file: Path) -> bytes:
    """What is in a file that a command names. Raises ConfigInvalid where it can't be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigInvalid(f"{file} can't be read: {error.strerror or error}") from None


def text_of(file: Path) -> str:
    """The same as text, with or without a byte order mark. Raises ConfigInvalid also where it is not in UTF-8."""
    try:
        return content_of(file).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigInvalid(f"{file} is not in UTF-8") from None


def settings(config: Path | None) -> Settings:
    loaded = load(config)
    log.setup(loaded.log_level)
    return loaded


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with friendly():
        return asyncio.run(main())


def tenant_name(loaded: Settings, tenant: str) -> str:
    """The tenant meant: the one named, or the only one."""
    if tenant:
        return loaded.tenant(tenant).name
    if len(loaded.tenants) == 1:
        return loaded.tenants[0].name
    raise ConfigInvalid("name the tenant with --tenant: " + ", ".join(t.name for t in loaded.tenants))


def database_of(loaded: Settings, *, read_only: bool = False) -> Database:
    """The configured database, not started. Raises ConfigInvalid when it is none that we know."""
    clock = SystemClock()
    return open_database(loaded.database, clock=clock, ids=RandomIds(clock), read_only=read_only)


@contextlib.asynccontextmanager
async def opened(loaded: Settings, *, read_only: bool = False) -> AsyncIterator[Database]:
    """The database, started, for the length of a command."""
    database = database_of(loaded, read_only=read_only)
    await database.start()
    try:
        yield database
    finally:
        await database.stop()


@contextlib.asynccontextmanager
async def reading(config: Path | None, tenant: str) -> AsyncIterator[Units]:
    """A tenant's data, to look at: works beside a running server."""
    loaded = settings(config)
    async with opened(loaded, read_only=True) as database:
        yield database.units(tenant_name(loaded, tenant))


def shown(text: str, to: TextIO) -> str:
    """As it is for a program, without control characters for a terminal."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text) if to.isatty() else text


def out(line: str = "") -> None:
    """A line; on a terminal without control characters: what an EHR or a sender said must not steer it."""
    sys.stdout.write(shown(line, sys.stdout) + "\n")
    sys.stdout.flush()
