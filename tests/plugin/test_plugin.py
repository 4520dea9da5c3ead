"""The pytest plugin, in runs of its own: what a user's project sees.

The runs are in this process, but where it matters what has been imported.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]
HEAD = "import pytest\nfrom swcalls import TTS, CallEnded, Digits\n"
FLOW = """
async def pin_of(client, to="+15550198765"):
    call = await client.dial(to=to, from_="+12069708643")
    await call.answered(timeout=60)
    return (await call.collect(digits=Digits(max=4), initial_timeout=4).finished(timeout=60)).digits
"""
FAILING = """
async def test_fails(swcalls_client):
    call = await swcalls_client.dial(to="+15550198765", from_="+12069708643")
    await call.answered(timeout=60)
    await call.play(TTS("Hello."), control_id="greeting").finished(timeout=60)
    assert not "what it should be"
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Run pytest on a test module; warnings are errors there too."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    installed = list(entry_points(group="pytest11", name="swcalls"))

    def run(
        code: str, *options: str, mode: str | None = "auto", ini: str = "", process: bool = False
    ) -> pytest.RunResult:
        pytester.makepyfile(HEAD + FLOW + dedent(code))
        mode_line = "" if mode is None else f"asyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function\n"
        pytester.makeini(f"[pytest]\naddopts = --strict-markers\n{mode_line}{ini}")
        plugin = () if installed else ("-p", "swcalls.pytest_plugin")
        start = pytester.runpytest_subprocess if process else pytester.runpytest_inprocess
        return start("-W", "error", "-p", "no:cacheprovider", *plugin, *options)

    return run


def test_a_space_and_a_client_of_it(run) -> None:
    run(
        """
        @pytest.mark.callee(presses="1234")
        async def test_pin(swcalls_client, swcalls_space):
            assert await pin_of(swcalls_client) == "1234"
            assert [sent.command for sent in swcalls_space.commands] == ["dial", "calling.collect"]

        async def test_the_next_has_a_space_of_its_own(swcalls_client, swcalls_space):
            assert not swcalls_space.commands
        """
    ).assert_outcomes(passed=2)


def test_markers_add_up_and_the_nearest_wins(run) -> None:
    run(
        """
        pytestmark = [pytest.mark.callee(presses="1111"), pytest.mark.callee("+15550190002", presses="2222")]

        async def test_the_module(swcalls_client):
            assert await pin_of(swcalls_client) == "1111"
            assert await pin_of(swcalls_client, "+15550190002") == "2222"

        @pytest.mark.callee(presses="3333")
        @pytest.mark.callee("+15550190003", answers="busy")
        async def test_its_own(swcalls_client):
            assert await pin_of(swcalls_client) == "3333"
            assert await pin_of(swcalls_client, "+15550190002") == "2222"
            with pytest.raises(CallEnded, match="busy"):
                await pin_of(swcalls_client, "+15550190003")
        """
    ).assert_outcomes(passed=2)


def test_faults_and_settings(run) -> None:
    run(
        """
        @pytest.fixture
        def swcalls_settings():
            return {"require_signature": True}

        @pytest.mark.callee(presses="1234")
        @pytest.mark.faults(duplicate=1, forge=1, seed=3)
        @pytest.mark.swcalls(signing_key="PSK-test", speed=50)
        async def test_it(swcalls_client, swcalls_space):
            assert await pin_of(swcalls_client) == "1234"
            await swcalls_space.settled()
            assert swcalls_space.seed == 3
            webhooks = swcalls_client.stats.webhooks
            assert webhooks["duplicate"] + webhooks.get("late", 0) > 0
            assert webhooks["forged"] > 0
        """
    ).assert_outcomes(passed=1)


def test_a_lost_webhook_costs_a_test_no_minute(run) -> None:
    result = run(
        """
        @pytest.mark.faults(drop=1)
        async def test_it(swcalls_client):
            call = swcalls_client.call("2e1e66e5-5d07-413d-9668-55542992eec0")
            limits = swcalls_client._engine.registry.limits
            assert limits.long_grace <= 1
            assert limits.margin <= 1
        """
    )
    result.assert_outcomes(passed=1)


def test_the_report_of_a_failure_has_the_timeline_of_each_call(run) -> None:
    result = run(FAILING)
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines(
        [
            r"-+ swcalls: call [0-9a-f-]{36} -+",
            r" +\d\.\d+ s  →  call +dial",
            r" +\d\.\d+ s  ←  call +answered",
            r" +\d\.\d+ s  →  play +calling\.play",
            r"  call +▸.*answered",
        ]
    )
    assert "swcalls: faults" not in result.stdout.str()


def test_the_report_of_a_failure_has_the_seed_and_what_was_refused(run) -> None:
    result = run(
        """
        from swcalls import Retry

        @pytest.fixture
        def swcalls_settings():
            return {"retry": Retry(attempts=1)}

        @pytest.mark.faults(duplicate=1, status={503: 1}, seed=42)
        async def test_fails(swcalls_client):
            await swcalls_client.dial(to="+15550198765", from_="+12069708643")
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines([r"-+ swcalls: commands that were refused -+", "dial 503", r"-+ swcalls: faults -+"])
    result.stdout.re_match_lines([r"seed=42 .*: \d+ status.*"])


def test_a_test_that_passes_says_nothing(run) -> None:
    assert "swcalls:" not in run("async def test_it(swcalls_client): await pin_of(swcalls_client)", "-rA").stdout.str()


def test_only_the_latest_calls_are_shown(run) -> None:
    result = run(
        """
        async def test_fails(swcalls_client):
            calls = [await swcalls_client.dial(to="+15550198765", from_="+12069708643") for _ in range(12)]
            assert not calls
        """
    )
    assert result.stdout.str().count("swcalls: call ") == 8


@pytest.mark.parametrize(
    ("marker", "says"),
    [
        ("callee(pressed='1')", "marker callee: *pressed*"),
        ("callee('+1', '+2')", "marker callee: ('+1', '+2') must be one number, the rest given by name"),
        ("faults(drop=2)", "marker faults: *drop=2 must be*"),
        ("faults(0.5)", "marker faults: 0.5 must be given by name"),
        ("swcalls(speed=0)", "marker swcalls: Simulator: speed=0 must be a finite number greater than 0"),
    ],
)
def test_a_marker_that_is_wrong_is_told_in_a_line(run, marker: str, says: str) -> None:
    result = run(f"@pytest.mark.{marker}\nasync def test_it(swcalls_space): ...")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{says}"])
    assert "Traceback" not in result.stdout.str()


def test_the_speed_is_a_setting(run) -> None:
    code = "async def test_it(swcalls_space): assert swcalls_space._clock.speed == 7"
    run(code, ini="swcalls_speed = 7\n").assert_outcomes(passed=1)
    result = run(code, ini="swcalls_speed = fast\n")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*swcalls_speed='fast' must be a number greater than 0"])


def test_a_test_that_nothing_runs_is_told_the_setting_that_is_missing(run) -> None:
    result = run("async def test_it(swcalls_client): await pin_of(swcalls_client)", mode="strict")
    assert "no plugin runs this async def, which uses swcalls_client: set asyncio_mode = auto" in result.stdout.str()
    assert "natively supported" not in result.stdout.str()


def test_it_works_in_strict_mode(run) -> None:
    run(
        "@pytest.mark.asyncio\nasync def test_it(swcalls_client): await pin_of(swcalls_client)", mode="strict"
    ).assert_outcomes(passed=1)


def test_a_sync_test_is_told_what_it_lacks(run) -> None:
    result = run("def test_it(swcalls_client): ...")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*swcalls_client runs in an event loop: make the test an async def"])


def test_without_an_asynchronous_plugin_it_says_which_is_needed(run) -> None:
    result = run("async def test_it(swcalls_space): ...", "-p", "no:asyncio", "-p", "no:anyio", mode=None)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*swcalls_space is an asynchronous fixture: install pytest-asyncio"])


def test_two_spaces_at_once(run) -> None:
    run(
        """
        from swcalls import Client
        from swcalls.testing import Callee, Simulator

        @pytest.mark.callee(presses="1111")
        async def test_it(swcalls_client):
            async with Simulator(callee=Callee(presses="2222"), speed=100) as space:
                async with Client("project", "token", space.url) as other, other.receiver.serve():
                    assert await pin_of(other) == "2222"
                    assert await pin_of(swcalls_client) == "1111"
        """
    ).assert_outcomes(passed=1)


def test_a_run_that_does_not_use_it_does_not_import_aiohttp(run) -> None:
    run(
        """
        import sys

        def test_it():
            assert "aiohttp" not in sys.modules
            assert "swcalls.testing" not in sys.modules
        """,
        process=True,
    ).assert_outcomes(passed=1)


def test_it_is_an_entry_point_and_its_markers_are_documented(run) -> None:
    result = run("def test_it(): ...", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.callee(*", "@pytest.mark.faults(*", "@pytest.mark.swcalls(*"])
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert '[project.entry-points.pytest11]\nswcalls = "swcalls.pytest_plugin"\n' in pyproject


def test_the_example_runs(pytester: pytest.Pytester, run) -> None:
    code = (ROOT / "examples/test_your_flow.py").read_text()
    path = pytester.makepyfile(test_your_flow=code)
    run("", str(path)).assert_outcomes(passed=5)
