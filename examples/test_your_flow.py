"""A call flow and its tests with the pytest plugin: calls of half a minute take milliseconds. Run it with pytest."""

import pytest

from swcalls import TTS, Call, CallEnded, Client, DetectMachine, Digits
from swcalls.testing import Simulator


async def ask_for_pin(call: Call, attempts: int = 2) -> str | None:
    """Ask a person for a PIN; leave a message on a machine."""
    ask = TTS("Please enter your four digit PIN.")
    await call.answered(timeout=60)
    who = await call.detect(DetectMachine()).finished(timeout=30)
    if who.event == "MACHINE":
        await call.say("We called about your order. Please call us back.").finished(timeout=60)
    else:
        for _ in range(attempts):
            pin = await call.prompt(ask, digits=Digits(max=4, digit_timeout=2), initial_timeout=4).finished(timeout=60)
            if len(pin.digits or "") == 4:
                return pin.digits
            await call.say("That was no PIN.").finished(timeout=60)
    await call.end()
    return None


async def dialled(client: Client) -> Call:
    return await client.dial(to="+15550198765", from_="+12069708643")


@pytest.mark.callee(presses="1234")
async def test_a_pin(swcalls_client: Client) -> None:
    assert await ask_for_pin(await dialled(swcalls_client)) == "1234"


@pytest.mark.callee(presses=["12", "5678"])
async def test_a_second_attempt(swcalls_client: Client) -> None:
    assert await ask_for_pin(await dialled(swcalls_client)) == "5678"


@pytest.mark.callee(is_machine=True)
async def test_a_message_is_left_on_a_machine(swcalls_client: Client, swcalls_space: Simulator) -> None:
    assert await ask_for_pin(await dialled(swcalls_client)) is None
    assert [sent.command for sent in swcalls_space.commands] == [
        "dial",
        "calling.detect",
        "calling.play",
        "calling.end",
    ]


@pytest.mark.callee(answers="busy")
async def test_nobody_there(swcalls_client: Client) -> None:
    with pytest.raises(CallEnded, match="busy"):
        await ask_for_pin(await dialled(swcalls_client))


@pytest.mark.callee(presses="1234")
@pytest.mark.faults(duplicate=0.5, reorder=0.3, status={503: 0.2}, retry_after=0, seed=1)
async def test_a_bad_day_of_the_network(swcalls_client: Client) -> None:
    assert await ask_for_pin(await dialled(swcalls_client)) == "1234"
