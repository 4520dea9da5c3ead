"""The simulated ``calling.transcribe``: the transcript has what was said from its start to its end."""

from __future__ import annotations

import pytest

from swcalls import TTS, Client, Digits, Speech
from swcalls.testing import Callee, Simulator

FROM, TO = "+12069708643", "+15550198765"


async def transcript(callee: Callee, flow: str) -> str | None:
    """Make a call whose steps are the letters of *flow*: Transcribe, Play, Collect speech, collect Digits, Stop."""
    async with (
        Simulator(callee=callee, speed=100) as space,
        Client("project", "token", space.url) as client,
        client.receiver.serve(),
        client.dial(to=TO, from_=FROM) as call,
    ):
        await call.answered()
        for step in flow:
            match step:
                case "T":
                    transcribing = await call.transcribe()
                case "P":
                    await call.play(TTS("Program.")).finished()
                case "C":
                    await call.collect(speech=Speech(), initial_timeout=1).finished()
                case "D":
                    await call.collect(digits=Digits(max=1), initial_timeout=1).finished()
                case "S":
                    await transcribing.stop()
        await call.end()
        return (await transcribing.finished()).text


@pytest.mark.parametrize(
    ("says", "flow", "wanted"),
    [
        ("", "PT", None),
        ("", "PTPP", "Program. Program."),
        ("", "TPSP", "Program."),
        (["Early.", "Late."], "CTC", "Late."),
        (["Early."], "CT", None),
        (["Hello."], "TPC", "Program. Hello."),
        ("Hello.", "TD", "Hello."),
        ("Hello.", "TCPD", "Hello. Program."),
    ],
)
async def test_a_transcript_has_what_was_said_after_its_start(
    says: str | list[str], flow: str, wanted: str | None
) -> None:
    assert await transcript(Callee(rings_for=0, says=says), flow) == wanted


async def test_a_transcript_has_only_as_much_as_there_was_time_for() -> None:
    words = " ".join(str(number) for number in range(1000))
    heard = await transcript(Callee(rings_for=0, says=words), "TD")
    assert heard is not None
    assert words.startswith(heard)
    assert len(heard.split()) < 1000
