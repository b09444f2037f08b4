"""`fhirpay serve`: all roles in one process, or one role each on PostgreSQL."""

from __future__ import annotations

from typing import Annotated

import typer

from ..app import ROLES, serve_until_stopped
from ..errors import ConfigInvalid
from ..wiring import build
from .context import ConfigOption, run, settings

RoleOption = Annotated[
    list[str] | None, typer.Option("--role", help=f"{', '.join(ROLES)}; repeat for several. Default: all.")
]


def serve(config: ConfigOption = None, role: RoleOption = None) -> None:
    """Run the listeners, the web endpoints and the workers until told to stop (SIGTERM, Ctrl-C)."""

    async def main() -> None:
        loaded = settings(config)
        roles = frozenset(role or ROLES)
        if unknown := roles - set(ROLES):
            raise ConfigInvalid(f"there is no role {', '.join(sorted(unknown))}; roles are {', '.join(ROLES)}")
        if loaded.database.startswith("sqlite") and roles != set(ROLES):
            raise ConfigInvalid("SQLite has one writer: serve all roles in one process, or use PostgreSQL")
        await serve_until_stopped(build(loaded), roles)

    run(main)
