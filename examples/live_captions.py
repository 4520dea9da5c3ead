"""Write down what is said on a call, with pocketsphinx (its wheel has its model), or show the level without it."""

import array
import asyncio
import signal
from itertools import pairwise

from swcalls import Client

try:
    import pocketsphinx
except ImportError:
    pocketsphinx = None


class Captions:
    def __init__(self):
        self.endpointer, self.rest = pocketsphinx.Endpointer(), b""
        self.decoder = pocketsphinx.Decoder(samprate=16000, loglevel="FATAL")

    def text_of(self, frame):
        """Return what was said in the sentence that ends with this frame; None: no sentence ends."""
        samples, size, text = array.array("h", frame.pcm), self.endpointer.frame_bytes, None
        # The model wants 16 kHz, and a call has 8 kHz: between two samples comes their mean.
        pairs = pairwise([*samples, samples[-1]])
        self.rest += array.array("h", [sample for a, b in pairs for sample in (a, (a + b) // 2)]).tobytes()
        while len(self.rest) >= size:
            piece, self.rest = self.rest[:size], self.rest[size:]
            was_speech, speech = self.endpointer.in_speech, self.endpointer.process(piece)
            if speech is not None and not was_speech:
                self.decoder.start_utt()
            if speech is not None:
                self.decoder.process_raw(speech)
            if was_speech and not self.endpointer.in_speech:
                self.decoder.end_utt()
                text = self.decoder.hyp().hypstr if self.decoder.hyp() else "(not understood)"
        return text


def level(frame):
    return f"level {frame.rms():.0f}" if frame.timestamp_ms % 1000 < 20 else None


async def main() -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)  # So that it hangs up.
    text_of = Captions().text_of if pocketsphinx else level
    async with Client.from_env() as client, client.receiver.serve(port=8080):
        async with client.dial(to="+15550198765", from_="+12069708643") as call:
            await call.answered(timeout=30)
            async with call.listen(codec="PCMU@8000h") as audio:
                async for frame in audio:
                    # In a thread: to recognise speech takes longer than the event loop may wait.
                    text = await asyncio.to_thread(text_of, frame)
                    if text is not None:
                        print(f"{frame.timestamp_ms / 1000:6.1f} s  {text}", flush=True)


asyncio.run(main())
