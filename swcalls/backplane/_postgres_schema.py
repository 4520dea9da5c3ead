"""The tables of `PostgresBackplane`, and how they are made, upgraded, and checked."""

from __future__ import annotations

import hashlib
from typing import Any

from ._queue import StoreError

MIGRATIONS: tuple[str, ...] = (
    # Deliveries come and go all the time: vacuum them by number, not by share. Their times grow with their place in the
    # table, for which a BRIN index is enough.
    """
CREATE TABLE {schema}.owners (
    project text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    token text,
    alive_until timestamptz NOT NULL,
    expires timestamptz NOT NULL,
    takes_calls boolean NOT NULL DEFAULT false,
    PRIMARY KEY (project, owner)
) WITH (fillfactor = 50);
CREATE TABLE {schema}.deliveries (
    id bigint GENERATED ALWAYS AS IDENTITY,
    project text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    body bytea NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    expires timestamptz NOT NULL,
    PRIMARY KEY (project, owner, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
CREATE INDEX deliveries_expires ON {schema}.deliveries USING brin (expires) WITH (autosummarize = on);
CREATE TABLE {schema}.memos (
    project text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    field text COLLATE "C" NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (project, owner, field)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE TABLE {schema}.calls (
    project text COLLATE "C" NOT NULL,
    call_id text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    expires timestamptz NOT NULL,
    PRIMARY KEY (project, call_id)
);
CREATE INDEX calls_expires ON {schema}.calls (expires);
""",
)
"""How to get from each format to the next one; from nothing to the first one."""

_FORMAT = """
CREATE TABLE IF NOT EXISTS {schema}.format (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version integer NOT NULL
)
"""
_HAS_FORMAT = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class AS found JOIN pg_catalog.pg_namespace AS place ON found.relnamespace = place.oid
    WHERE place.nspname = $1 AND found.relname = 'format'
)
"""


class Refused(StoreError):
    """The tables are missing, or have a format that this version of swcalls does not use."""


class Schema:
    """The tables in the schema *name*, which must be a checked name.

    *create*: when connecting, make tables that are missing, and upgrade older ones.
    """

    def __init__(self, name: str, *, create: bool) -> None:
        self.name = name
        self._create = create
        self._quoted = f'"{name}"'
        self._lock = int.from_bytes(hashlib.blake2b(f"swcalls/{name}".encode(), digest_size=8).digest(), signed=True)

    def sql(self, statement: str) -> str:
        """Put the name of the schema into *statement*."""
        return statement.replace("{schema}", self._quoted)

    def channel(self, project: str, owner: str) -> str:
        """Return the name of the channel on which *owner* is told of new deliveries. It has at most 63 letters."""
        place = f"{self.name}/{project}/{owner}".encode()
        return f"swcalls_{hashlib.blake2b(place, digest_size=16).hexdigest()}"

    async def check(self, connection: Any) -> None:
        """Check the format of the tables, and make or upgrade them if this is allowed.

        Raises:
            Refused: The tables are missing or older, and must not be changed; or they are newer.
        """
        found = await self._version(connection)
        if found < len(MIGRATIONS) and self._create:
            await self.migrate(connection)
        elif found != len(MIGRATIONS):
            raise self._refusal(found)

    async def migrate(self, connection: Any) -> None:
        """Make the tables, or upgrade them to the format of this version of swcalls.

        Raises:
            Refused: The tables have a newer format.
        """
        async with connection.transaction():
            # Processes that start at the same time wait for each other here.
            await connection.execute("SELECT pg_advisory_xact_lock($1)", self._lock)
            found = await self._version(connection)
            if found > len(MIGRATIONS):
                raise self._refusal(found)
            # Not `CREATE SCHEMA IF NOT EXISTS`: it needs the right to create schemas even if there is nothing to do.
            if not await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", self.name):
                await connection.execute(self.sql("CREATE SCHEMA {schema}"))
            await connection.execute(self.sql(_FORMAT))
            for migration in MIGRATIONS[found:]:
                await connection.execute(self.sql(migration))
            keep = "INSERT INTO {schema}.format (version) VALUES ($1) ON CONFLICT (only_row) DO UPDATE SET version = $1"
            await connection.execute(self.sql(keep), len(MIGRATIONS))

    async def _version(self, connection: Any) -> int:
        """Return the format of the tables; 0: there are none."""
        # Not `to_regclass`: its cache may not know yet what another process has just made.
        if not await connection.fetchval(_HAS_FORMAT, self.name):
            return 0
        return await connection.fetchval(self.sql("SELECT max(version) FROM {schema}.format")) or 0

    def _refusal(self, found: int) -> Refused:
        if found > len(MIGRATIONS):
            words = f"have format {found}, and this version of swcalls knows {len(MIGRATIONS)} at most: upgrade swcalls"
        elif found:
            words = f"have format {found}, and this version of swcalls needs {len(MIGRATIONS)}: run migrate()"
        else:
            words = "are missing: run migrate()"
        return Refused(f"the tables in schema {self.name!r} {words}")
