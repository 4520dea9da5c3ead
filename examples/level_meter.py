"""Show who speaks on a call, and how loudly: a detector of voice that adapts itself to the noise of the line."""

import asyncio
import signal

from swcalls import Client


class VoiceDetector:
    """Says of each frame whether somebody speaks: louder than the noise, and for as long as the pause between words."""

    def __init__(self, factor=3.0, least=200.0, hangover=0.4):
        self.noise = None
        self.factor = factor
        self.least = least
        self.hangover = hangover
        self.left = 0.0

    def hears(self, frame):
        level = frame.rms()
        if self.noise is None:
            self.noise = level
        # The noise is followed at once when it falls, and slowly when it rises: a voice is no noise.
        self.noise = level if level < self.noise else self.noise + (level - self.noise) * 0.01
        if level > max(self.least, self.factor * self.noise):
            self.left = self.hangover
        else:
            self.left -= frame.duration + frame.gap_ms / 1000
        return self.left > 0


async def main() -> None:
    # Without this line, SIGTERM would end the process at once; with it, the blocks below end, and hang up.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    detectors = {"inbound": VoiceDetector(), "outbound": VoiceDetector()}
    speaking = dict.fromkeys(detectors, False)
    async with Client.from_env() as client, client.receiver.serve(port=8080):
        async with client.dial(to="+15550198765", from_="+12069708643") as call:
            await call.answered(timeout=30)
            async with call.listen(track="both") as audio:
                await call.say("Hello! How do you do? Please tell us after this.")
                async for frame in audio:
                    is_speaking = detectors[frame.track].hears(frame)
                    if is_speaking != speaking[frame.track]:
                        speaking[frame.track] = is_speaking
                        who = "the far end" if frame.track == "inbound" else "our voice"
                        word = "speaks" if is_speaking else "is silent"
                        print(f"{frame.timestamp_ms / 1000:6.1f} s  {who} {word}, level {frame.rms():.0f}")
                    if frame.timestamp_ms > 10_000:
                        break
        print(f"{audio.missing_frames} frames were missing, {audio.dropped_frames} dropped")


if __name__ == "__main__":
    asyncio.run(main())
