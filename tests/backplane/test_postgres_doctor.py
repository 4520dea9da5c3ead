"""``swcalls doctor`` and a backplane in PostgreSQL with one thing wrong each."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from benchmarks.postgres_server import PostgresServer
from swcalls.backplane import PostgresBackplane
from swcalls.cli.finding import Finding
from swcalls.cli.postgres_checks import NAMES, check_postgres


@pytest.fixture
async def server(postgres: PostgresServer, nothing_is_left_running: None) -> AsyncIterator[PostgresServer]:
    yield postgres
    look = await asyncpg.connect(postgres.url)
    await look.execute("DROP SCHEMA swcalls CASCADE")
    await look.close()


async def examined(url: str) -> dict[str, Finding]:
    found: list[Finding] = []
    await check_postgres(url, found.append)
    assert [finding.name for finding in found] == list(NAMES)
    assert not [finding for finding in found if "a-password" in finding.what + finding.advice]
    return {finding.name: finding for finding in found}


async def test_what_is_wrong_and_then_is_not(server: PostgresServer) -> None:
    url = server.url.replace("postgres@", "postgres:a-password@")
    found = await examined(url)
    assert {name: finding.level for name, finding in found.items()} == {
        "backplane": "ok", "persistence": "warning", "tables": "warning", "round trip": "skipped",
    }  # fmt: skip
    assert "let the first worker make them" in found["tables"].what
    await PostgresBackplane(server.url).migrate()
    found = await examined(url)
    assert found["tables"].level == found["round trip"].level == "ok"
    assert "(primary)" in found["backplane"].what
    assert "fsync off" in found["persistence"].what
    look = await asyncpg.connect(server.url)
    for table in ("deliveries", "memos", "owners"):
        assert await look.fetch(f"SELECT FROM swcalls.{table}") == []
    await look.execute("UPDATE swcalls.format SET version = 99")
    found = await examined(url)
    assert found["tables"].level == "wrong"
    assert "upgrade swcalls" in found["tables"].what
    await look.close()


@pytest.mark.parametrize("url", ["postgresql://user:a-password@127.0.0.1:1/x", "postgresql://user:a-password@host:x/y"])
async def test_a_server_that_cannot_be_reached(url: str) -> None:
    found = await examined(url)
    assert found["backplane"].level == "wrong"
    assert {found[name].level for name in NAMES[1:]} == {"skipped"}
