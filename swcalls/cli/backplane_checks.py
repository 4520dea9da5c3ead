"""The checks of ``swcalls doctor`` for the backplane in Redis: reachable, memory, persistence, rights, round trip."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from swcalls.backplane import Backplane, BackplaneError, Delivery, Memo
from swcalls.errors import ConfigurationError
from swcalls.timeline.terminal_style import escaped

from .finding import Finding, Report, skipped

OLDEST = (6, 2)
"""The oldest version of Redis that works."""
PATIENCE = 3.0
"""Seconds that an operation may take."""
PREFIX = "swcalls"
"""The prefix of the keys that the checks use: the default one, since the rights of a user may be bound to it."""
NAMES = ("backplane", "memory", "persistence", "rights", "round trip")

Ask = Callable[..., Awaitable[Any]]


async def check_backplane(url: str, report: Report) -> None:
    """Report what is right and wrong with the backplane at *url*; write a few keys, and delete them again."""
    try:
        from redis.exceptions import RedisError

        from swcalls.backplane._connect import connect

        sender = connect(url, PATIENCE, 0)
    except ImportError:
        return _report_wrong(report, "the package redis is not installed", "Install swcalls[redis]")
    except ConfigurationError as error:
        return _report_wrong(report, str(error).replace("redis=", "the URL", 1), "Correct SWCALLS_BACKPLANE")
    key = f"{PREFIX}:{{doctor:{secrets.token_hex(8)}}}:check"

    async def ask(*words: Any) -> Any:
        async with asyncio.timeout(PATIENCE):
            return await sender.run(lambda pipeline: pipeline.execute_command(*words), key)

    try:
        fault = await _fault(ask("EXISTS", key))
        if fault is not None and not _is_right(fault):
            what = "Redis gives no answer" if isinstance(fault, TimeoutError) else f"Redis fails: {_text(fault)}"
            advice = "Check SWCALLS_BACKPLANE (redis+cluster:// for a cluster), user, password, and that Redis runs"
            return _report_wrong(report, what, advice)
        await _check_server(ask, report)
        rights = await _check_rights(ask, key)
        report(rights)
        if rights.level == "wrong":
            report(skipped("round trip", "these rights"))
        else:
            from swcalls.backplane import RedisBackplane

            backplane = RedisBackplane(url, owner="doctor", prefix=PREFIX, keep=60, patience=PATIENCE)
            report(await check_round_trip(backplane, "Redis"))
    finally:
        await sender.close()
        with suppress(RedisError, OSError):
            await sender.disconnect()


async def _check_server(ask: Ask, report: Report) -> None:
    """Report version, memory and persistence, as far as the user may read them."""
    try:
        info = _info(await ask("INFO"))
    except Exception as fault:  # noqa: BLE001 - whatever it is, it is told
        needs = "the right to run INFO" if _is_right(fault) else f"an answer to INFO ({_text(fault)})"
        report(Finding(name="backplane", level="ok", what=f"Redis answers; its version is not known, it needs {needs}"))
        report(skipped("memory", needs))
        report(skipped("persistence", needs))
        return
    report(_version(info))
    report(_memory(info))
    report(await _persistence(info, ask))


def _version(info: Mapping[str, str]) -> Finding:
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = info.get("valkey_version") or info.get("redis_version", "?")
    mode = info.get("redis_mode") or info.get("server_mode") or "standalone"
    what = f"{name} {escaped(version)} answers ({escaped(mode)}, {escaped(info.get('role', '?'))})"
    known = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if name == "Redis" and known < OLDEST:
        advice = "Use Redis 6.2 or newer, or Valkey"
        return Finding(name="backplane", level="wrong", what=f"{what}, which is too old", advice=advice)
    return Finding(name="backplane", level="ok", what=what)


def _memory(info: Mapping[str, str]) -> Finding:
    policy, limit = info.get("maxmemory_policy", "?"), info.get("maxmemory", "?")
    if policy != "noeviction" and limit != "0":
        what = f"maxmemory-policy is {escaped(policy)}: Redis drops deliveries and memos when its memory is short"
        return Finding(name="memory", level="wrong", what=what, advice="Set maxmemory-policy noeviction")
    shown = "no limit" if limit == "0" else f"{info.get('used_memory', '?')} of {limit} bytes are used"
    return Finding(name="memory", level="ok", what=f"maxmemory-policy {escaped(policy)}, {shown}")


async def _persistence(info: Mapping[str, str], ask: Ask) -> Finding:
    if info.get("aof_enabled") == "1":
        if info.get("aof_last_write_status", "ok") != "ok":
            what = "the append-only file cannot be written"
            return Finding(name="persistence", level="wrong", what=what, advice="Look at the disk of Redis and its log")
        found = ""
        with suppress(Exception):
            answer = await ask("CONFIG", "GET", "appendfsync")
            pair = next(iter(answer.items())) if isinstance(answer, dict) else tuple(answer)
            found = f", appendfsync {pair[1].decode()}"
        return Finding(name="persistence", level="ok", what=f"appendonly yes{escaped(found)}")
    what = "appendonly is no: what came since the last snapshot is lost whenever Redis ends"
    advice = "Set appendonly yes, or accept it (examples/workers.md says what is lost)"
    return Finding(name="persistence", level="warning", what=what, advice=advice)


async def _check_rights(ask: Ask, key: str) -> Finding:
    """Run each command that a backplane uses, also in scripts, on keys that expire or are deleted at once."""
    script = "return redis.call(unpack(ARGV))"
    stream, fields, scores = f"{key}:s", f"{key}:h", f"{key}:z"
    commands: list[tuple[Any, ...]] = [
        *[("TIME",), ("EXISTS", key), ("GET", key), ("SET", key, "1", "PX", 5000), ("PEXPIRE", key, 5000)],
        *[("XADD", stream, "*", "a", "b"), ("XLEN", stream), ("XREAD", "STREAMS", stream, "0-0")],
        *[("XINFO", "STREAM", stream), ("XTRIM", stream, "MINID", "0-0"), ("XDEL", stream, "1-1")],
        *[("HSET", fields, "a", "b"), ("HGETALL", fields), ("HLEN", fields), ("HDEL", fields, "a")],
        *[("ZADD", scores, "1", "a"), ("ZRANGE", scores, 0, -1), ("ZRANGEBYSCORE", scores, "-inf", "+inf")],
        *[("ZREMRANGEBYSCORE", scores, "-inf", "+inf"), ("ZREM", scores, "a")],
        *[("EVAL", script, 1, key, "GET", key), ("DEL", key, stream, fields, scores)],
    ]
    refused, failed = list[str](), list[str]()
    for command in commands:
        fault = await _fault(ask(*command))
        if fault is not None and _is_right(fault):
            refused.append(command[0])
        elif fault is not None and not ("no such key" in str(fault) and "XADD" in refused):
            failed.append(f"{command[0]}: {_text(fault)}")
    if refused:
        what = f"the user may not run {', '.join(refused)} on the keys {PREFIX}:*"
        advice = "Give the rights that examples/workers.md lists"
        return Finding(name="rights", level="wrong", what=what, advice=advice)
    if failed:
        return Finding(name="rights", level="wrong", what=failed[0], advice="Look at the log of Redis")
    return Finding(name="rights", level="ok", what=f"all {len(commands)} commands that are used may be run")


async def check_round_trip(backplane: Backplane, store: str) -> Finding:
    """Send a delivery in a project that nobody has, and remember something; *store*: the name of the server."""
    project, owner = f"doctor-{secrets.token_hex(8)}", backplane.owner
    arrived = asyncio.Event()

    async def receive(delivery: Delivery) -> bool:
        arrived.set()
        return True

    clock = asyncio.get_running_loop().time
    try:
        await backplane.open(project, receive, lambda _: None)
        started = clock()
        await backplane.publish(project, Delivery(owner=owner, kind="play", key="doctor", body=b"{}"))
        async with asyncio.timeout(PATIENCE):
            await arrived.wait()
        took = clock() - started
        await backplane.remember(Memo(kind="play", key="doctor", call_key="doctor", call_id=None))
        remembered = await backplane.remembered(owner)
        backplane.forget("play", "doctor")
    except (BackplaneError, TimeoutError) as fault:
        what = f"a delivery did not arrive: {_text(fault) or 'no answer in time'}"
        return Finding(name="round trip", level="wrong", what=what, advice=f"Look at the log of {store}")
    finally:
        await backplane.close()
    if not remembered:
        what = "a memo that was written is not there"
        return Finding(name="round trip", level="wrong", what=what, advice=f"Look at the log of {store}")
    slow = took > 0.5
    what = f"a delivery took {took * 1000:.0f} ms"
    advice = f"Put {store} nearer: the platform waits 5 s for the answer to a webhook" if slow else ""
    return Finding(name="round trip", level="warning" if slow else "ok", what=what, advice=advice)


def _report_wrong(report: Report, what: str, advice: str) -> None:
    report(Finding(name=NAMES[0], level="wrong", what=what, advice=advice))
    for name in NAMES[1:]:
        report(skipped(name, "a backplane that can be reached"))


async def _fault(asked: Awaitable[Any]) -> Exception | None:
    try:
        await asked
    except Exception as fault:  # noqa: BLE001 - whatever it is, it is told
        return fault
    return None


def _is_right(fault: Exception) -> bool:
    """Return whether *fault* says that the user lacks a right; inside a script it is a plain error."""
    text = str(fault).lower()
    return "no permission" in text or "noperm" in text or "can't run this command" in text


def _text(fault: Exception) -> str:
    return escaped(str(fault))[:200]


def _info(answer: Any) -> dict[str, str]:
    if isinstance(answer, dict):
        return {str(name): str(value) for name, value in answer.items()}
    lines = (line.partition(":") for line in answer.decode(errors="replace").splitlines())
    return {name: value for name, separator, value in lines if separator}
