"""``swcalls doctor`` and a backplane in Redis with one thing wrong each."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "backplane"))

from servers import Server, limited, rights

from swcalls.cli import main
from swcalls.cli.backplane_checks import NAMES, check_backplane
from swcalls.cli.finding import Finding


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = limited(tmp_path_factory.mktemp("redis"))
    server.start()
    server.ask("ACL", "SETUSER", "swcalls", "resetkeys", "~swcalls:*")
    yield server
    server.kill()


@pytest.fixture
def server(shared: Server, nothing_is_left_running: None) -> Iterator[Server]:
    yield shared
    shared.ask("ACL", "SETUSER", "swcalls", *rights())
    shared.ask("CONFIG", "SET", "maxmemory", 0)
    shared.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    shared.ask("CONFIG", "SET", "appendonly", "yes")
    assert shared.ask("KEYS", "*doctor*check*") == []


async def examined(url: str) -> dict[str, Finding]:
    found: list[Finding] = []
    await check_backplane(url, found.append)
    assert [finding.name for finding in found] == list(NAMES)
    assert not [finding for finding in found if "a-password" in finding.what + finding.advice]
    return {finding.name: finding for finding in found}


def levels(found: dict[str, Finding]) -> list[str]:
    return [finding.level for finding in found.values()]


def of_admin(server: Server) -> str:
    return f"redis://127.0.0.1:{server.port}"


async def test_nothing_is_wrong(server: Server) -> None:
    found = await examined(of_admin(server))
    assert levels(found) == ["ok"] * 5
    assert " answers (standalone, master)" in found["backplane"].what
    assert found["memory"].what == "maxmemory-policy noeviction, no limit"
    assert found["persistence"].what == "appendonly yes, appendfsync always"
    assert "a delivery took" in found["round trip"].what
    assert server.ask("KEYS", "*alive*") == []


async def test_the_fewest_rights_suffice_though_they_show_no_settings(server: Server) -> None:
    found = await examined(server.url)
    assert levels(found) == ["ok", "skipped", "skipped", "ok", "ok"]
    assert found["memory"].what == "not checked: it needs the right to run INFO"


async def test_each_right_that_is_missing_is_named(server: Server) -> None:
    server.ask("ACL", "SETUSER", "swcalls", "-xadd", "-zrangebyscore")
    found = await examined(server.url)
    assert levels(found)[3:] == ["wrong", "skipped"]
    assert found["rights"].what == "the user may not run XADD, ZRANGEBYSCORE on the keys swcalls:*"


async def test_keys_that_a_user_may_not_touch_are_told(server: Server) -> None:
    server.ask("ACL", "SETUSER", "swcalls", "resetkeys", "~another:*")
    found = await examined(server.url)
    assert found["rights"].level == "wrong"
    assert "on the keys swcalls:*" in found["rights"].what


async def test_a_policy_that_drops_keys_is_wrong(server: Server) -> None:
    server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    server.ask("CONFIG", "SET", "maxmemory", 100_000_000)
    found = await examined(of_admin(server))
    assert (found["memory"].level, found["memory"].advice) == ("wrong", "Set maxmemory-policy noeviction")


async def test_a_full_memory_is_told(server: Server) -> None:
    server.ask("CONFIG", "SET", "maxmemory", 1)
    found = await examined(of_admin(server))
    assert found["rights"].level == "wrong"
    assert "command not allowed when used memory" in found["rights"].what


async def test_no_persistence_is_a_warning(server: Server) -> None:
    server.ask("CONFIG", "SET", "appendonly", "no")
    found = await examined(of_admin(server))
    assert levels(found) == ["ok", "ok", "warning", "ok", "ok"]


async def test_a_wrong_password_and_a_wrong_url_are_told(server: Server) -> None:
    wrong = await examined(server.url.replace("a-password", "another"))
    assert levels(wrong) == ["wrong"] + ["skipped"] * 4
    assert "invalid username-password pair" in wrong["backplane"].what
    wrong = await examined("http://swcalls:a-password@127.0.0.1")
    assert wrong["backplane"].what.startswith("the URL is no URL of Redis")


async def test_where_nothing_listens_it_cannot_be_reached() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        found = await examined(f"redis://127.0.0.1:{closed.getsockname()[1]}")
    assert levels(found) == ["wrong"] + ["skipped"] * 4


async def test_a_server_that_is_no_cluster_is_told(server: Server) -> None:
    found = await examined(of_admin(server).replace("redis:", "redis+cluster:"))
    assert found["backplane"].level == "wrong"
    assert "redis+cluster://" in found["backplane"].advice


def test_the_program_checks_the_backplane_that_it_is_given(
    shared: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("SIGNALWIRE_PROJECT_ID", "SIGNALWIRE_API_TOKEN", "SIGNALWIRE_SPACE"):
        monkeypatch.delenv(name, raising=False)
    assert main(["doctor", "--port", "0", "--backplane", of_admin(shared)]) == 1
    assert "round trip    a delivery took" in capsys.readouterr().out
    monkeypatch.setenv("SWCALLS_BACKPLANE", of_admin(shared))
    main(["doctor", "--port", "0"])
    assert "round trip    a delivery took" in capsys.readouterr().out
