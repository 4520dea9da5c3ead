"""The checks of ``swcalls doctor`` for the backplane in PostgreSQL: reachable, persistence, tables, round trip."""

from __future__ import annotations

import asyncio
from typing import Any

from swcalls.errors import ConfigurationError
from swcalls.timeline.terminal_style import escaped

from .backplane_checks import check_round_trip
from .finding import Finding, Report, skipped

OLDEST = 130_000
"""The oldest version of PostgreSQL that works, as PostgreSQL numbers it."""
PATIENCE = 3.0
"""Seconds that an operation may take."""
SCHEMA = "swcalls"
"""The schema with the tables: the default one."""
NAMES = ("backplane", "persistence", "tables", "round trip")


async def check_postgres(url: str, report: Report) -> None:
    """Report what is right and wrong with the backplane at *url*; make no tables, and delete what is written."""
    try:
        from swcalls.backplane import PostgresBackplane
        from swcalls.backplane._postgres_link import Source, fault_of
        from swcalls.backplane._postgres_schema import Refused, Schema

        backplane = PostgresBackplane(url, owner="doctor", keep=60, patience=PATIENCE, create=False)
    except ImportError:
        _report_wrong(report, "the package asyncpg is not installed", "Install swcalls[postgres]")
        return
    except ConfigurationError as error:
        _report_wrong(report, str(error), "Correct SWCALLS_BACKPLANE")
        return
    source = Source(url, None, PATIENCE)
    try:
        connection = await source.connect()
    except Exception as fault:  # noqa: BLE001 - whatever it is, it is told
        what = f"PostgreSQL fails: {escaped(str(fault_of(fault)))[:200]}"
        _report_wrong(report, what, "Check SWCALLS_BACKPLANE, user, password, and that PostgreSQL runs")
        return
    try:
        async with asyncio.timeout(PATIENCE):
            version = await _version(connection)
            report(version)
            report(await _persistence(connection))
            try:
                await Schema(SCHEMA, create=False).check(connection)
            except Refused as refused:
                tables = await _missing(connection, str(refused))
            else:
                tables = Finding(
                    name="tables", level="ok", what=f"the tables in schema {SCHEMA!r} have the right format"
                )
            report(tables)
    finally:
        await source.give_back(connection)
    if version.level == "wrong" or tables.level != "ok":
        report(skipped("round trip", "a server that can be written, and tables"))
    else:
        report(await check_round_trip(backplane, "PostgreSQL"))


async def _version(connection: Any) -> Finding:
    number, shown = int(await _setting(connection, "server_version_num")), await _setting(connection, "server_version")
    is_replica = await connection.fetchval("SELECT pg_is_in_recovery()")
    what = f"PostgreSQL {escaped(shown)} answers ({'replica' if is_replica else 'primary'})"
    if number < OLDEST:
        advice = f"Use PostgreSQL {OLDEST // 10_000} or newer"
        return Finding(name="backplane", level="wrong", what=f"{what}, which is too old", advice=advice)
    if is_replica:
        advice = "Name all servers in the URL, and add ?target_session_attrs=read-write"
        return Finding(name="backplane", level="wrong", what=f"{what}: it cannot be written", advice=advice)
    return Finding(name="backplane", level="ok", what=what)


async def _persistence(connection: Any) -> Finding:
    values = {name: await _setting(connection, name) for name in ("fsync", "synchronous_commit")}
    what = ", ".join(f"{name} {escaped(value)}" for name, value in values.items())
    if values["fsync"] == "off":
        what += ": the database may be destroyed when its machine dies"
        return Finding(name="persistence", level="warning", what=what, advice="Set fsync on")
    if values["synchronous_commit"] == "off":
        what += ": up to 0.6 s are lost when the server crashes"
        advice = "Set synchronous_commit on, or accept it (examples/workers.md says what is lost)"
        return Finding(name="persistence", level="warning", what=what, advice=advice)
    return Finding(name="persistence", level="ok", what=what)


async def _missing(connection: Any, what: str) -> Finding:
    may = await connection.fetchval("SELECT has_database_privilege(current_database(), 'CREATE')")
    if "are missing" in what and may:
        return Finding(name="tables", level="warning", what=f"{what}, or let the first worker make them")
    return Finding(
        name="tables", level="wrong", what=what, advice="Run PostgresBackplane(...).migrate() as an owner of them"
    )


async def _setting(connection: Any, name: str) -> str:
    return str(await connection.fetchval("SELECT current_setting($1)", name))


def _report_wrong(report: Report, what: str, advice: str) -> None:
    report(Finding(name=NAMES[0], level="wrong", what=what, advice=advice))
    for name in NAMES[1:]:
        report(skipped(name, "a backplane that can be reached"))
