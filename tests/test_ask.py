"""`Call.ask`: a prompt that is repeated until the answer will do, and `Call.wait_for_beep`."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swcalls import (
    TTS,
    Audio,
    Call,
    CallEnded,
    Client,
    DetectFax,
    DetectMachine,
    Digits,
    Silence,
    Speech,
)
from swcalls._core.acceptance import Acceptance
from swcalls.testing import Callee, Faults, Simulator

MENU = TTS("Sales, one. Support, two.")
ONE = Digits(max=1)


@pytest.fixture
async def simulated(nothing_is_left_running: None) -> AsyncIterator[Callable[..., Any]]:
    """Dial a callee of a simulated space."""
    from contextlib import AsyncExitStack

    async with AsyncExitStack() as stack:

        async def dial(faults: Faults | None = None, **callee: Any) -> tuple[Call, Simulator]:
            space = Simulator(callee=Callee(**callee), speed=200, **({} if faults is None else {"faults": faults}))
            await stack.enter_async_context(space)
            client = await stack.enter_async_context(Client("project", "token", space.url))
            await stack.enter_async_context(client.receiver.serve())
            call = await client.dial(to="+15550198765", from_="+12069708643")
            await call.answered()
            return call, space

        yield dial


def said(space: Simulator) -> list[list[str]]:
    """Return what each playback said."""
    plays = [received.params["play"] for received in space.commands if received.command == "calling.play"]
    return [[item["params"].get("text", item["type"]) for item in play] for play in plays]


async def test_the_first_accepted_input_is_the_answer(simulated) -> None:
    call, space = await simulated(presses=["1"])
    answer = await call.ask(MENU, digits=ONE, accept={"1", "2"})
    assert (answer.value, answer.attempts, answer.accepted) == ("1", 1, True)
    assert answer.last.digits == "1"
    assert answer.raw == answer.last.raw
    assert said(space) == [[MENU.text]]


async def test_it_asks_again_and_says_what_was_wrong(simulated) -> None:
    call, space = await simulated(presses=["9", "", "2"])
    answer = await call.ask(
        MENU,
        digits=ONE,
        accept=["1", "2"],
        initial_timeout=1,
        on_wrong=TTS("There is no such department."),
        on_no_input=[Silence(1), TTS("Are you there?")],
    )
    assert (answer.value, answer.attempts) == ("2", 3)
    assert said(space) == [
        [MENU.text],
        ["There is no such department.", MENU.text],
        ["silence", "Are you there?", MENU.text],
    ]


async def test_attempts_that_are_used_up_are_a_result_without_a_value(simulated) -> None:
    call, space = await simulated(presses="9")
    answer = await call.ask(MENU, digits=ONE, accept="[12]", attempts=2)
    assert (answer.value, answer.accepted, answer.attempts) == (None, False, 2)
    assert (answer.last.type, answer.last.digits) == ("digit", "9"), "a wrong input is in `last` alone"
    assert said(space) == [[MENU.text]] * 2


async def test_silence_is_a_result_too(simulated) -> None:
    call, _ = await simulated()
    answer = await call.ask(MENU, digits=ONE, initial_timeout=1, attempts=2)
    assert (answer.value, answer.attempts, answer.last.type) == (None, 2, "no_input")


async def test_what_was_said_is_compared_without_case_and_punctuation(simulated) -> None:
    call, _ = await simulated(says=["Maybe.", "Yes!"])
    answer = await call.ask(TTS("Shall we come?"), speech=Speech(), accept={"yes", "no"})
    assert (answer.value, answer.attempts, answer.last.text) == ("yes", 2, "Yes!")


async def test_a_function_decides(simulated) -> None:
    call, _ = await simulated(presses=["12#", "1234"])
    answer = await call.ask(
        TTS("Your PIN?"), digits=Digits(max=4, terminators="#"), accept=lambda pin: len(pin) == 4, barge_in=False
    )
    assert (answer.value, answer.attempts) == ("1234", 2)


async def test_a_function_that_fails_fails_the_question_and_leaves_nothing_running(simulated) -> None:
    call, space = await simulated(presses="1")
    with pytest.raises(ZeroDivisionError):
        await call.ask(MENU, digits=ONE, accept=lambda key: 1 / 0)
    assert space.commands
    assert not [action for action in call._engine.registry.actions.values() if action.kind == "collect"]


async def test_a_caller_who_hangs_up_ends_the_question(simulated) -> None:
    call, _ = await simulated(hangs_up_after=3)
    with pytest.raises(CallEnded):
        await call.ask(MENU, digits=ONE, attempts=100, initial_timeout=1)


async def sent(space, command: str) -> dict[str, object]:
    while (arrived := await space.arrived.get())["command"] != command:
        pass
    return arrived["params"]


def counted(space) -> Counter[str]:
    return Counter(command["command"].removeprefix("calling.") for command in space.commands)


async def test_a_question_that_is_cancelled_is_stopped(space, call: Call) -> None:
    task = asyncio.create_task(call.ask(MENU, digits=ONE))
    await sent(space, "calling.play")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await sent(space, "calling.collect.stop")
    assert (counted(space)["collect"], counted(space)["play.stop"]) == (1, 1)


async def test_a_timeout_bounds_all_attempts_and_stops_the_one_that_runs(space, call: Call) -> None:
    with pytest.raises(TimeoutError, match=r"Call\.ask: no result after 0\.2 s"):
        await call.ask(MENU, digits=ONE).finished(timeout=0.2)
    await sent(space, "calling.collect.stop")


async def test_a_timeout_of_the_users_own_function_stays_what_it_is(space, call: Call) -> None:
    def never(key: str) -> bool:
        raise TimeoutError("mine")

    task = asyncio.create_task(call.ask(MENU, digits=ONE, accept=never).finished(timeout=600))
    await sent(space, "calling.play")
    await space.tell("calling.collect", result={"type": "digit", "params": {"digits": "1"}})
    with pytest.raises(TimeoutError, match="mine"):
        await task


async def test_each_attempt_has_an_id_of_its_own(space, call: Call) -> None:
    task = asyncio.create_task(call.ask(MENU, digits=ONE, accept={"1"}, volume=3))
    keys = set()
    for key in "21":
        keys.add((await sent(space, "calling.collect"))["control_id"])
        assert (await sent(space, "calling.play"))["volume"] == 3
        await space.tell("calling.collect", result={"type": "digit", "params": {"digits": key}})
    assert (await task).value == "1"
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("wrong", "error", "named"),
    [
        ({"accept": set()}, ValueError, r"accept=set\(\) must have at least one string"),
        ({"accept": {1, 2}}, TypeError, "must have strings only, and has"),
        ({"accept": "["}, ValueError, r"accept='\[' must be a valid regular expression"),
        ({"accept": "12"}, ValueError, r"accept='12' must accept at least one key, .* pass \{'1', '2'\} or '\[12\]'"),
        ({"accept": {"10", "11"}}, ValueError, "must accept at least one key, since digits.max is 1"),
        ({"accept": re.compile(b"1")}, TypeError, "for strings, not for bytes"),
        ({"accept": b"12"}, TypeError, "accept=b'12' must be strings, a regular expression, or a function"),
        ({"accept": 12}, TypeError, "accept=12 must be strings, a regular expression, or a function"),
        ({"accept": asyncio.sleep}, TypeError, "no coroutine function"),
        ({"attempts": 0}, ValueError, "ask: attempts=0 must be at least 1"),
        ({"attempts": True}, TypeError, "attempts=True must be a whole number"),
        ({"on_wrong": "Wrong."}, TypeError, "on_wrong='Wrong.' must be Audio, TTS, Silence or Ringtone"),
        ({"on_no_input": [None]}, TypeError, r"on_no_input=\[None\] must be Audio"),
        ({"digits": None}, ValueError, "digits"),
        ({"deadline": 0}, ValueError, "deadline=0"),
    ],
)
async def test_a_bad_argument_is_refused_before_anything_is_sent(space, call: Call, wrong, error, named) -> None:
    with pytest.raises(error, match=named):
        call.ask(MENU, **{"digits": ONE, **wrong})
    with pytest.raises(ValueError, match="media"):
        call.ask(digits=ONE, on_wrong=MENU)
    assert counted(space).keys() == {"dial"}


async def test_what_can_be_said_or_pressed_is_not_refused(space, call: Call) -> None:
    for how in (
        {"digits": ONE, "accept": "#?"},
        {"digits": ONE, "accept": lambda key: 1 / 0},
        {"digits": ONE, "speech": Speech(), "accept": {"yes"}},
        {"digits": Digits(max=2), "accept": "12"},
    ):
        call.ask(MENU, **how).close()


async def test_a_question_that_is_never_awaited_warns_once_and_sends_nothing(space, call: Call) -> None:
    with pytest.warns(RuntimeWarning, match=r"coroutine 'Call\.ask' was never awaited") as caught:
        call.ask(MENU, digits=ONE)
    assert len(caught) == 1
    call.ask(MENU, digits=ONE).close()
    with pytest.raises(ValueError, match="timeout"):
        await call.ask(MENU, digits=ONE).finished(timeout=-1)
    assert counted(space).keys() == {"dial"}


# What is accepted


@settings(max_examples=settings().max_examples // 4)
@given(st.lists(st.text("ab.!", max_size=3), min_size=1, max_size=3), st.text("ABa.!", max_size=3), st.booleans())
def test_of_strings_one_of_them_is_returned_or_nothing(strings: list[str], text: str, spoken: bool) -> None:
    found = Acceptance(strings).accepted(text, spoken=spoken)
    if text in strings:
        assert found == text
    elif found is not None:
        assert spoken
        assert found in strings


@given(st.text(alphabet="0123456789*#", max_size=6))
def test_a_pattern_must_match_the_whole_input(digits: str) -> None:
    is_right = re.fullmatch("[1-3]{2}|#", digits) is not None
    for accept in ("[1-3]{2}|#", re.compile("[1-3]{2}|#"), lambda text: re.fullmatch("[1-3]{2}|#", text)):
        assert Acceptance(accept).accepted(digits) == (digits if is_right else None)


def test_without_a_rule_any_input_will_do_that_is_not_empty() -> None:
    assert [Acceptance(None).accepted(text) for text in (None, "", "5")] == [None, None, "5"]
    assert Acceptance("5?").accepted("") == "", "a rule may accept that only a terminator was pressed"


def test_an_awaitable_is_no_decision() -> None:
    async def late(text: str) -> bool:
        return True

    with pytest.raises(TypeError, match="returned an awaitable"):
        Acceptance(partial(lambda rule, text: rule(text), late)).accepted("1")


# The beep


@pytest.mark.parametrize(
    ("is_machine", "found"),
    [
        (True, ("MACHINE", True, False, True)),
        (False, ("HUMAN", False, True, False)),
        (None, ("UNKNOWN", False, False, False)),
    ],
)
async def test_who_answered_is_told(simulated, is_machine: bool | None, found: tuple[Any, ...]) -> None:
    call, space = await simulated(is_machine=is_machine)
    answer = await call.wait_for_beep()
    assert (answer.event, answer.is_machine, answer.is_human, answer.ready) == found
    (command,) = (received.params for received in space.commands if received.command == "calling.detect")
    assert command["timeout"] == 45
    assert command["detect"]["params"]["detect_message_end"] is True


async def test_after_the_greeting_the_detector_is_stopped(space, call: Call) -> None:
    task = asyncio.create_task(call.wait_for_beep())
    await sent(space, "calling.detect")
    for event in ("MACHINE", "NOT_READY"):
        await space.tell("calling.detect", detect={"type": "machine", "params": {"event": event}})
    assert not task.done()
    await space.tell("calling.detect", detect={"type": "machine", "params": {"event": "READY", "beep": True}})
    found = await task
    assert (found.is_machine, found.ready, found.beep) == (True, True, True)
    await sent(space, "calling.detect.stop")


@pytest.mark.parametrize(("heard", "event"), [([], None), (["MACHINE", "NOT_READY"], "MACHINE")])
async def test_a_run_that_ends_before_the_message_does_says_so(space, call: Call, heard, event) -> None:
    task = asyncio.create_task(call.wait_for_beep(timeout=5))
    await sent(space, "calling.detect")
    for word in [*heard, "finished"]:
        await space.tell("calling.detect", detect={"type": "machine", "params": {"event": word}})
    found = await task
    assert (found.event, found.ready) == (event, False)
    assert "detect.stop" not in counted(space)


@pytest.mark.parametrize(("heard", "event"), [([], None), (["MACHINE"], "MACHINE")])
async def test_a_run_whose_end_is_not_reported_returns_what_is_known(space, call: Call, heard, event) -> None:
    task = asyncio.create_task(call.wait_for_beep())
    await sent(space, "calling.detect")
    for word in heard:
        await space.tell("calling.detect", detect={"type": "machine", "params": {"event": word}})
    (action,) = call._engine.registry.actions.values()
    call._engine.registry.settler.give_up(action)
    found = await task
    assert (found.event, found.ready) == (event, False)


async def test_waiting_for_the_beep_that_is_cancelled_stops_the_detector(space, call: Call) -> None:
    task = asyncio.create_task(call.wait_for_beep())
    await sent(space, "calling.detect")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await sent(space, "calling.detect.stop")


async def test_a_detector_that_hears_no_beep_is_refused(space, call: Call) -> None:
    for wrong, error in (
        (DetectMachine(detect_message_end=False), ValueError),
        (DetectFax(), TypeError),
        (Audio("https://example.com/a.mp3"), TypeError),
    ):
        with pytest.raises(error, match="wait_for_beep: detector="):
            call.wait_for_beep(wrong)
    for timeout in (0, -1, None, float("inf")):
        with pytest.raises((TypeError, ValueError), match="wait_for_beep: timeout="):
            call.wait_for_beep(timeout=timeout)
    assert counted(space).keys() == {"dial"}
