"""The simulated ``calling.stream``: opens a WebSocket on this machine, and sends what is heard on the call."""

from __future__ import annotations

import base64
from typing import Any, ClassVar, Literal

import msgspec

from swcalls.commands import Stream

from ..audio_codecs import Encoding, encoding
from ..audio_lines import AudioLine
from ..audio_sounds import Samples, Sound, key, mixed, sound_of, speech, tone
from ..calls import Operation, SimulatedCall
from ..speech import speaking_time
from ..wire import Shape
from .play import Playing

KEY_SECONDS = 0.1
"""How long the tone of a key is heard."""
_UTTERANCES = 64
"""How many texts and keys of the far end can be heard at the same time."""

Track = Literal["inbound", "outbound"]
_TRACKS: dict[str, tuple[Track, ...]] = {
    "inbound_track": ("inbound",),
    "outbound_track": ("outbound",),
    "both_tracks": ("inbound", "outbound"),
}
_VOICE = speech(110)
_MUSIC = tone(660)


class Streaming(Operation):
    """Posts ``streaming``, then ``finished`` when it is stopped, the call ends, or the WebSocket is closed.

    The inbound track has the callee: its ``Callee.sound``, what it says, what it presses. The outbound track has what
    is played on the call. A WebSocket that is not on this machine is not opened.
    """

    kind: ClassVar[str] = "stream"
    shape: ClassVar[Shape | None] = "enveloped"

    def __init__(self, call: SimulatedCall, command: Stream) -> None:
        super().__init__(call, command)
        self._url = command.url
        self._name = command.name
        self._method = command.status_url_method or "POST"
        self._bearer = command.authorization_bearer_token
        self._parameters = command.custom_parameters
        self._codec = command.codec
        self._tracks = _TRACKS[command.track or "inbound_track"]
        self._lines = call.wire.audio
        self._faults = self._lines.faults
        self._line: AudioLine | None = None
        self._is_connected = False
        self._encoding: Encoding
        self._utterances: list[tuple[float, float, Sound]] = []
        """What the far end says and presses: from when, until when, what."""
        self._began = 0.0
        """When the first frame began."""
        self._frame = 0
        """How many frames of each track are over."""
        self._sequence = 0
        self._chunks = dict.fromkeys(self._tracks, 0)

    def start(self) -> None:
        self._report("streaming")
        faults = self._faults
        found = encoding(faults.codec or self._codec, faults.frame_ms)
        if not self._lines.reaches(self._url) or faults.no_connection:
            return
        if found is None:
            # That an unknown codec is an error is documented; what becomes of the stream is not.
            self.stop()
            return
        self._encoding = found._replace(big_endian=faults.big_endian)
        self._bearer = self._bearer if not faults.wrong_bearer else "not-the-right-one"
        self._line = self._lines.connect(self._url, self._bearer, self._connected, self._disconnected)

    def _connected(self) -> None:
        faults, line = self._faults, self._line
        if line is None or self.is_finished:
            return
        self._is_connected = True
        if faults.second_connection:
            self.after(
                faults.frame_ms / 1000,
                lambda: self._lines.connect(self._url, self._bearer, _do_nothing, _do_nothing).close(),
            )
        line.send('{"event":"connected","protocol":"Call","version":"0.2.0"}')
        self._began = self.clock.now()
        if not faults.no_start:
            self.after(faults.start_delay, self._send_start)
        if faults.drops_after is not None:
            self.after(faults.drops_after, line.reset)
        # Timers that are due at the same time go off in the order in which they were set: the start comes first.
        self.after(self._encoding.frame_ms / 1000, self._send_frames)

    def stop(self) -> None:
        self.finish()
        self._report("finished")
        if self._line is not None and not self._faults.no_stop:
            self._send("stop", None)
            self._line.close()

    def hear_voice(self, text: str) -> None:
        self._hear(speaking_time(text), _VOICE)

    def hear_key(self, digit: str) -> None:
        self._hear(KEY_SECONDS, key(digit))
        if self._is_connected:
            self._send("dtmf", {"digit": digit, "duration": round(KEY_SECONDS * 1000)})

    def _hear(self, seconds: float, sound: Sound) -> None:
        now = self.clock.now()
        self._utterances = [each for each in self._utterances if each[1] > now - 1][-_UTTERANCES:]
        self._utterances.append((now, now + seconds, sound))

    def _disconnected(self) -> None:
        if not self.is_finished:
            self.finish()
            self._report("finished")

    def _send_start(self) -> None:
        start: dict[str, Any] = {
            "streamSid": self.control_id,
            "accountSid": self.call.wire.origin()["project_id"],
            "callSid": self.call.id,
            "tracks": self._tracks,
            "mediaFormat": {"encoding": self._encoding.name, "sampleRate": self._encoding.rate, "channels": 1},
        }
        if self._parameters:
            start["customParameters"] = self._parameters
        self._send("start", start)

    def _send_frames(self) -> None:
        """Send all frames whose time is over, and set the timer for the next one."""
        length = self._encoding.frame_ms / 1000
        now = self.clock.now() - self._began
        stall = self._faults.stalls
        is_stalled = stall is not None and stall[0] <= now < sum(stall)
        until = stall[0] if stall is not None and is_stalled else now
        # A clock that is read, and a timer, do not agree to the last digit.
        while (self._frame + 1) * length <= until + length / 100:
            for track in self._tracks:
                self._send_frame(track)
            self._frame += 1
        next_frame = sum(stall) if stall is not None and is_stalled else (self._frame + 1) * length
        self.after(max(0.0, next_frame - (self.clock.now() - self._began)), self._send_frames)

    def _send_frame(self, track: Track) -> None:
        faults, form = self._faults, self._encoding
        start = self._frame * form.frame_ms / 1000
        samples = self._heard(track, start, form)
        if faults.silence_is_no_frames and not any(samples):
            return
        self._chunks[track] += 1
        chunk = self._chunks[track]
        media = {
            "track": track,
            "chunk": str(chunk),
            "timestamp": str(self._frame * form.frame_ms),
            "payload": base64.b64encode(form.encode(samples)).decode(),
        }
        self._send("media", media, is_lost=faults.loses_every is not None and chunk % faults.loses_every == 0)

    def _heard(self, track: Track, start: float, form: Encoding) -> Samples:
        count, rate = form.samples_a_frame, form.rate
        moment = self._began + start
        if track == "outbound":
            playing = [each for each in self.call.operations.values() if isinstance(each, Playing) and each.is_audible]
            sounds = [_VOICE if each.is_spoken else _MUSIC for each in playing[:1]]
            return mixed([sound.samples(start, count, rate) for sound in sounds], count)
        heard = [sound_of(self.call.callee.sound).samples(start, count, rate)]
        heard += [
            sound.samples(moment - begins, count, rate)
            for begins, ends, sound in self._utterances
            if begins <= moment < ends
        ]
        return mixed(heard, count)

    def _send(self, event: str, inner: dict[str, Any] | None, *, is_lost: bool = False) -> None:
        self._sequence += 1
        if self._line is None or not self._is_connected or is_lost:
            return
        message: dict[str, Any] = {"event": event, "sequenceNumber": str(self._sequence)}
        if inner is not None:
            message |= {event: inner}
        self._line.send(msgspec.json.encode(message).decode())

    def _report(self, state: str) -> None:
        name = {} if self._name is None else {"name": self._name}
        self.post(self._method, segment_id=self.call.id, state=state, url=self._url, **name)


def _do_nothing() -> None:
    """Ignore what becomes of a connection that is to be refused."""
