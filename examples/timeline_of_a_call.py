"""Draw the timeline of a simulated call: as text, or as SVG or HTML into the file that is given as argument."""

import asyncio
import sys
from pathlib import Path

from swcalls import TTS, Call, Client, DetectMachine, Digits, Timeline
from swcalls.testing import Callee, Simulator


async def flow(call: Call) -> None:
    await call.answered(timeout=30)
    detect = await call.detect(DetectMachine()).finished(timeout=30)
    if detect.event == "HUMAN":
        pin = await call.prompt(TTS("Please enter your PIN."), digits=Digits(max=4)).finished(timeout=30)
        async with call.record() as recording:
            await call.say(f"Thank you. You entered {' '.join(pin.digits or '')}.").finished(timeout=30)
        await recording.finished(timeout=60)
    await call.end()
    await call.ended(timeout=10)


async def simulated() -> Timeline:
    async with (
        Simulator(callee=Callee(presses="1234")) as space,
        Client("project", "token", space.url) as client,
        client.receiver.serve(),
    ):
        call = await client.dial(to="+15550198765", from_="+12069708643")
        await flow(call)
        await space.settled()
        return call.timeline


if __name__ == "__main__":
    timeline = asyncio.run(simulated())
    match sys.argv[1:]:
        case [file] if file.endswith(".svg"):
            Path(file).write_text(timeline.svg())
        case [file]:
            Path(file).write_text(timeline.html())
        case _:
            print(timeline)
