"""The statements of `PostgresBackplane`; all times are by the clock of PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._postgres_link import Each
from ._postgres_schema import Schema

# One statement, so one transaction and one wait for the disk: after a crash a delivery is not gone while the memo is
# still there that it was to change.
_CHANGE = """
WITH written AS (
    INSERT INTO {schema}.memos (project, owner, field, value)
    SELECT $1, new.* FROM unnest($2::text[], $3::text[], $4::bytea[]) AS new
    ON CONFLICT (project, owner, field) DO UPDATE SET value = excluded.value
), dropped AS (
    DELETE FROM {schema}.memos AS memo USING unnest($5::text[], $6::text[]) AS old (owner, field)
    WHERE memo.project = $1 AND memo.owner = old.owner AND memo.field = old.field
), processed AS (
    DELETE FROM {schema}.deliveries AS delivery USING unnest($7::text[], $8::bigint[]) AS old (owner, id)
    WHERE delivery.project = $1 AND delivery.owner = old.owner AND delivery.id = old.id
)
SELECT 1
"""
# `place` is the place of a delivery among those of its owner in this batch.
_PUBLISH = """
WITH new AS MATERIALIZED (
    SELECT *, row_number() OVER (PARTITION BY channel ORDER BY number) AS place
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[])
    WITH ORDINALITY AS given (channel, project, owner, kind, key, body, number)
), inbox AS MATERIALIZED (
    SELECT channel, (
        SELECT count(*) FROM (
            SELECT FROM {schema}.deliveries AS held
            WHERE held.project = one.project AND held.owner = one.owner LIMIT $7::bigint
        ) AS counted
    ) AS length
    FROM (SELECT DISTINCT channel, project, owner FROM new) AS one
), stored AS (
    INSERT INTO {schema}.deliveries (project, owner, kind, key, body, expires)
    SELECT project, owner, kind, key, body, now() + make_interval(secs => $8::float8)
    FROM new JOIN inbox USING (channel) WHERE length + place <= $7::bigint ORDER BY number
)
SELECT length + place <= $7::bigint AS is_stored,
    CASE WHEN place = 1 AND length < $7::bigint THEN pg_notify(channel, '')::text END
FROM new JOIN inbox USING (channel) ORDER BY number
"""
_READ = """
SELECT id, kind, key, body, created < now() - make_interval(secs => $5::float8) AS is_old FROM {schema}.deliveries
WHERE project = $1 AND owner = $2 AND id > $3 AND id <> ALL($4::bigint[]) AND expires > now()
ORDER BY id LIMIT $6
"""
_MEMOS = "SELECT field, value FROM {schema}.memos WHERE project = $1 AND owner = $2"

_CLOCK = "SELECT extract(epoch FROM clock_timestamp())::float8"
# Takes or keeps a name if its token is ours, or if nobody alive has it.
_TAKE = """
INSERT INTO {schema}.owners AS known (project, owner, token, alive_until, expires)
VALUES ($1, $2, $3, now() + make_interval(secs => $4::float8), now() + make_interval(secs => $5::float8))
ON CONFLICT (project, owner) DO UPDATE SET token = excluded.token, alive_until = excluded.alive_until,
    expires = excluded.expires,
    takes_calls = known.takes_calls AND coalesce(known.token = excluded.token, false)
WHERE known.token = excluded.token OR known.token IS NULL OR known.alive_until <= now()
RETURNING owner
"""
_RELEASE = """
UPDATE {schema}.owners SET token = NULL, alive_until = now(), takes_calls = false
WHERE project = $1 AND owner = $2 AND token = $3
"""
_GIVE_UP = """
DELETE FROM {schema}.owners AS known WHERE project = $1 AND owner = $2 AND token IS NULL
    AND NOT EXISTS (SELECT FROM {schema}.memos AS memo WHERE memo.project = $1 AND memo.owner = $2)
    AND NOT EXISTS (SELECT FROM {schema}.deliveries AS held WHERE held.project = $1 AND held.owner = $2)
"""
_DEAD = "SELECT owner FROM {schema}.owners WHERE project = $1 AND alive_until <= now() ORDER BY owner"
_OFFER = "UPDATE {schema}.owners SET takes_calls = $4 WHERE project = $1 AND owner = $2 AND token = $3"
_TAKER = """
SELECT owner FROM {schema}.owners
WHERE project = $1 AND takes_calls AND alive_until > now() AND owner <> ALL($2::text[]) ORDER BY random() LIMIT 1
"""

# An empty owner: the call is announced. Keeps a record with an owner that is alive.
_ANNOUNCE = """
INSERT INTO {schema}.calls AS call (project, call_id, owner, expires)
VALUES ($1, $2, '', now() + make_interval(secs => $3::float8))
ON CONFLICT (project, call_id) DO UPDATE SET owner = '', expires = excluded.expires
WHERE call.owner = '' OR call.expires <= now() OR NOT EXISTS (
    SELECT FROM {schema}.owners AS known
    WHERE known.project = $1 AND known.owner = call.owner AND known.alive_until > now()
)
RETURNING call_id
"""
_TAKE_CALL = """
UPDATE {schema}.calls SET owner = $3, expires = now() + make_interval(secs => $4::float8)
WHERE project = $1 AND call_id = $2 AND owner = '' AND expires > now() RETURNING owner
"""
_OWNER_OF_CALL = "SELECT owner FROM {schema}.calls WHERE project = $1 AND call_id = $2 AND expires > now()"

# Several processes may delete at the same time: each skips the rows that another one is deleting.
_EXPIRED_DELIVERIES = """
WITH gone AS (
    DELETE FROM {schema}.deliveries AS delivery USING (
        SELECT project, owner, id FROM {schema}.deliveries WHERE expires <= now() LIMIT $1 FOR UPDATE SKIP LOCKED
    ) AS old
    WHERE delivery.project = old.project AND delivery.owner = old.owner AND delivery.id = old.id RETURNING 1
)
SELECT count(*) FROM gone
"""
_EXPIRED_CALLS = """
WITH gone AS (
    DELETE FROM {schema}.calls AS call USING (
        SELECT project, call_id FROM {schema}.calls WHERE expires <= now() LIMIT $1 FOR UPDATE SKIP LOCKED
    ) AS old
    WHERE call.project = old.project AND call.call_id = old.call_id RETURNING 1
)
SELECT count(*) FROM gone
"""
_EXPIRED_MEMOS = """
WITH old AS MATERIALIZED (
    SELECT known.project, known.owner, memo.field FROM {schema}.owners AS known CROSS JOIN LATERAL (
        SELECT field FROM {schema}.memos WHERE project = known.project AND owner = known.owner
        LIMIT $1 FOR UPDATE SKIP LOCKED
    ) AS memo
    WHERE known.expires <= now() AND known.alive_until <= now() LIMIT $1
), gone AS (
    DELETE FROM {schema}.memos AS memo USING old
    WHERE memo.project = old.project AND memo.owner = old.owner AND memo.field = old.field RETURNING 1
)
SELECT count(*) FROM gone
"""
_EXPIRED_OWNERS = """
WITH old AS (
    SELECT project, owner FROM {schema}.owners AS known WHERE expires <= now() AND alive_until <= now() AND NOT EXISTS (
        SELECT FROM {schema}.memos AS memo WHERE memo.project = known.project AND memo.owner = known.owner
    ) LIMIT $1 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM {schema}.owners AS known USING old
    WHERE known.project = old.project AND known.owner = old.owner
        AND known.expires <= now() AND known.alive_until <= now() RETURNING 1
)
SELECT count(*) FROM gone
"""


class Change:
    """Writes and deletes memos (owner, field, value), and deletes processed deliveries (owner, ids)."""

    def __init__(self, schema: Schema) -> None:
        self._statement = schema.sql(_CHANGE)
        self.project = ""

    async def run(self, connection: Any, rows: list[tuple[Any, ...]]) -> Sequence[Any]:
        """Make all changes in one statement; of several changes of a memo, the last one counts."""
        memos: dict[tuple[str, str], bytes | None] = {}
        ids: list[tuple[str, int]] = []
        for row in rows:
            if len(row) == 3:
                owner, field, value = row
                memos[owner, field] = value
            else:
                ids += [(row[0], each) for each in row[1]]
        written = [(*place, value) for place, value in memos.items() if value is not None]
        dropped = [place for place, value in memos.items() if value is None]
        columns = (*_columns(written, 3), *_columns(dropped, 2), *_columns(ids, 2))
        await connection.fetch(self._statement, self.project, *columns)
        return [None] * len(rows)


class Publish:
    """Stores deliveries (channel, project, owner, kind, key, body); returns for each whether there was room for it."""

    def __init__(self, schema: Schema, capacity: int, keep: float) -> None:
        self._statement = schema.sql(_PUBLISH)
        self._capacity = capacity
        self._keep = keep

    async def run(self, connection: Any, rows: list[tuple[Any, ...]]) -> Sequence[Any]:
        """Store all deliveries in one statement."""
        found = await connection.fetch(self._statement, *_columns(rows, 6), self._capacity, self._keep)
        return [row[0] for row in found]


class Statements:
    """The statements that are executed one by one."""

    def __init__(self, schema: Schema) -> None:
        def each(statement: str) -> Each:
            return Each(schema.sql(statement))

        self.read = each(_READ)
        self.memos = each(_MEMOS)
        self.clock = each(_CLOCK)
        self.take = each(_TAKE)
        self.release = each(_RELEASE)
        self.give_up = each(_GIVE_UP)
        self.dead = each(_DEAD)
        self.offer = each(_OFFER)
        self.taker = each(_TAKER)
        self.announce = each(_ANNOUNCE)
        self.take_call = each(_TAKE_CALL)
        self.owner_of_call = each(_OWNER_OF_CALL)
        self.expired = [
            each(statement) for statement in (_EXPIRED_DELIVERIES, _EXPIRED_CALLS, _EXPIRED_MEMOS, _EXPIRED_OWNERS)
        ]


def _columns(rows: Sequence[tuple[Any, ...]], count: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(count)]
