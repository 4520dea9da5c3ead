"""One call: what it is doing, and what can be said to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Generator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, TypeVar

from ._core.lifecycle import LIVE_WORDS
from ._core.operation import PLAIN, CallOperation, Options
from .actions import (
    HANDLES,
    Action,
    ActionStart,
    CollectAction,
    DetectAction,
    PlayAction,
    RecordAction,
    StreamAction,
)
from .actions._waiting import events_of, until
from .commands import (
    TTS,
    Collect,
    Detect,
    DetectMachine,
    Detector,
    Digits,
    Direction,
    End,
    EndReason,
    Format,
    Gender,
    Media,
    Method,
    Play,
    Record,
    RecordAudio,
    RecordParams,
    Speech,
    StartCommand,
    Stream,
    Track,
    Update,
    as_strings,
    detector_item,
    media_item,
)
from .errors import CallEnded, CallNotFound, SwcallsError
from .events import CallEvent
from .legs import Leg
from .results import CollectResult, Detection, Playback, Recording, Result, StreamResult
from .switchboard import Switchboard, new_id

A = TypeVar("A", bound=Action[Any])
R = TypeVar("R", bound=Result)


class Call(CallOperation):
    """A call.

    The methods that start something return an ``ActionStart``: ``await`` it for the handle, or ``.finished()`` for the
    result, or ``async with`` it to stop the action when the block ends. All of them also take:

    - *control_id*: what names the action (default: a fresh UUID); unique among the client's running actions;
    - *status_url*: where its webhooks go (default: the client's own receiver);
    - *deadline*: seconds after which the action itself expires (``ActionExpired``); > 0.

    What is not given is not sent, but for the defaults that a signature shows. A bad argument is a ``ValueError`` or a
    ``TypeError`` before anything is sent; what a command can raise is a ``CommandError``.
    """

    __slots__ = ("_switchboard", "leg")

    def __init__(self, switchboard: Switchboard, call_id: str | None = None) -> None:
        super().__init__(new_id(), call_id)
        self._switchboard = switchboard
        self.leg: Leg | None = None
        """The last response to a command; ``None`` before the first."""

    def __repr__(self) -> str:
        return f"<Call {self.id} {self.state or 'unknown'}>"

    async def answered(self, timeout: float | None = None) -> None:
        """Wait until the call is up; at once if it was.

        Raises:
            TimeoutError: *timeout* seconds passed first.
            CallEnded: It ended without being answered; ``reason`` says why.
            ClientClosed: The client was closed.
        """
        await until(self, lambda: self.over or not LIVE_WORDS.isdisjoint(self.seen), timeout)
        if LIVE_WORDS.isdisjoint(self.seen):
            self._raise_if_closed()
            reason = self.end_reason
            raise CallEnded(f"call {self.id}: it ended ({reason or 'no reason given'}) unanswered", reason=reason)

    async def ended(self, timeout: float | None = None) -> str | None:
        """Wait for the end of the call and return its reason; ``None`` when the platform gave none.

        Reasons: hangup, cancel, busy, noAnswer, decline, error, abandoned, max_duration, not_found, or one that is
        newer than this version, as the platform spells it.

        Raises:
            TimeoutError: *timeout* seconds passed first.
            ClientClosed: The client was closed.
        """
        await until(self, lambda: self.over, timeout)
        self._raise_if_closed()
        return self.end_reason

    def events(self) -> AsyncIterator[CallEvent]:
        """Iterate over the call's state events, from the first to the last."""
        return events_of(self, CallEvent)

    def action(self, kind: str, control_id: str) -> Action[Any]:
        """Attach to an action of this call that was started elsewhere; no request is sent.

        Args:
            kind: The command's family: ``"play"``, ``"record"``, ….

        Raises:
            ValueError: The kind is not known, or an action of another kind or call runs under this id.
        """
        if kind not in HANDLES:
            raise ValueError(f"kind={kind!r} must be one of {', '.join(sorted(HANDLES))}")
        running = self._switchboard.registry.actions.get(control_id)
        if isinstance(running, HANDLES[kind]) and running.call is self:
            return running
        return self._switchboard.attach(HANDLES[kind](self, control_id))

    def play(
        self,
        *media: Media,
        volume: float | None = None,
        direction: Direction | None = None,
        loop: int | None = None,
        language: str | None = None,
        voice: str | None = None,
        gender: Gender | None = None,
        control_id: str | None = None,
        status_url: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[PlayAction, Playback]:
        """Play *media* (``Audio``, ``TTS``, ``Silence``, ``Ringtone``), in turn. Wire: ``calling.play``.

        Args:
            volume: dB, -40 to 40.
            direction: Who hears it: ``listen``, ``speak`` or ``both``.
            loop: How often in all; 0 is endless.
            language: For each TTS that names none; *voice* and *gender* likewise.
        """
        command = Play(
            control_id=_given(control_id),
            status_url=status_url,
            play=[media_item(item) for item in media],
            volume=volume,
            direction=direction,
            loop=loop,
            language=language,
            voice=voice,
            gender=gender,
        )
        return self._start(PlayAction, command, deadline)

    def say(
        self,
        text: str,
        *,
        volume: float | None = None,
        direction: Direction | None = None,
        loop: int | None = None,
        language: str | None = None,
        voice: str | None = None,
        gender: Gender | None = None,
        control_id: str | None = None,
        status_url: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[PlayAction, Playback]:
        """Speak *text*: ``play(TTS(text), ...)``."""
        return self.play(
            TTS(text),
            volume=volume,
            direction=direction,
            loop=loop,
            language=language,
            voice=voice,
            gender=gender,
            control_id=control_id,
            status_url=status_url,
            deadline=deadline,
        )

    def record(
        self,
        *,
        format: Format | None = None,
        stereo: bool | None = None,
        direction: Direction = "both",
        beep: bool | None = None,
        initial_timeout: float = 0,
        end_silence_timeout: float = 0,
        max_length: int | None = None,
        terminators: str = "",
        input_sensitivity: float | None = None,
        control_id: str | None = None,
        status_url: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[RecordAction, Recording]:
        """Record both sides until it is stopped or the call ends. Wire: ``calling.record``.

        The platform's own defaults would record one side, and stop at the first half second of silence or at ``#``.

        Args:
            format: ``mp3``, ``wav`` or ``mp4``.
            direction: Whose voice: ``listen``, ``speak`` or ``both``.
            initial_timeout: Seconds to wait for a voice (>= 0, 0: no limit); then the result is ``no_input``.
            end_silence_timeout: Seconds of silence that end it (>= 0, 0: none do).
            max_length: Seconds (>= 0, 0: no limit).
            terminators: Digits that end it, of ``0-9 A-D * #``.
            input_sensitivity: 0 to 100.
        """
        audio = RecordAudio(
            format=format,
            stereo=stereo,
            direction=direction,
            beep=beep,
            initial_timeout=initial_timeout,
            end_silence_timeout=end_silence_timeout,
            max_length=max_length,
            terminators=terminators,
            input_sensitivity=input_sensitivity,
        )
        command = Record(control_id=_given(control_id), status_url=status_url, record=RecordParams(audio=audio))
        return self._start(RecordAction, command, deadline)

    def collect(
        self,
        *,
        digits: Digits | None = None,
        speech: Speech | None = None,
        initial_timeout: float | None = None,
        continuous: bool | None = None,
        partial_results: bool | None = None,
        send_start_of_input: bool | None = None,
        start_input_timers: bool = True,
        control_id: str | None = None,
        status_url: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[CollectAction, CollectResult]:
        """Collect *digits*, *speech*, or whichever comes first. Wire: ``calling.collect``.

        ``no_input`` and ``no_match`` are results. The clock of *initial_timeout* starts at once; with the platform's own
        default it would wait for a command, and ``no_input`` might never come.

        Args:
            initial_timeout: Seconds to the first input (> 0).
            continuous: Yield each result as an event, until stopped or the call ends.
            partial_results: Yield what was recognised so far as events.
            send_start_of_input: Yield the first sign of input as an event.
        """
        command = Collect(
            control_id=_given(control_id),
            status_url=status_url,
            digits=digits,
            speech=speech,
            initial_timeout=initial_timeout,
            continuous=continuous,
            partial_results=partial_results,
            send_start_of_input=send_start_of_input,
            start_input_timers=start_input_timers,
        )
        return self._start(CollectAction, command, deadline, Options(continuous=continuous is True))

    def detect(
        self,
        detector: Detector | None = None,
        *,
        timeout: float | None = None,
        control_id: str | None = None,
        status_url: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[DetectAction, Detection]:
        """Find out who or what answered: a ``DetectMachine`` (the default), ``DetectFax`` or ``DetectDigit``.

        See ``DetectAction`` for what ``finished()`` waits for. Wire: ``calling.detect``.

        Args:
            timeout: Seconds that the detector runs at most (>= 0; the platform's default is 30).
        """
        detector = DetectMachine() if detector is None else detector
        command = Detect(
            control_id=_given(control_id), status_url=status_url, detect=detector_item(detector), timeout=timeout
        )
        follows = isinstance(detector, DetectMachine) and detector.detect_message_end
        return self._start(DetectAction, command, deadline, Options(message_end=follows))

    def stream(
        self,
        url: str,
        *,
        name: str | None = None,
        codec: str | None = None,
        track: Track | None = None,
        authorization_bearer_token: str | None = None,
        custom_parameters: Mapping[str, Any] | None = None,
        status_url_method: Method = "POST",
        control_id: str | None = None,
        status_url: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[StreamAction, StreamResult]:
        """Stream the call's audio to a WebSocket. Wire: ``calling.stream``.

        Args:
            url: A ``wss://`` URL.
            track: ``inbound_track``, ``outbound_track`` or ``both_tracks``.
            custom_parameters: Sent with the stream; each value as a string.
            status_url_method: ``GET`` only with a *status_url* of your own: the receiver takes POST.
        """
        command = Stream(
            control_id=_given(control_id),
            status_url=status_url,
            url=url,
            name=name,
            codec=codec,
            track=track,
            authorization_bearer_token=authorization_bearer_token,
            custom_parameters=as_strings(custom_parameters),
            status_url_method=status_url_method,
        )
        if status_url is None and status_url_method != "POST":
            raise ValueError(f"calling.stream: status_url_method={status_url_method!r} must be 'POST' for this receiver")
        return self._start(StreamAction, command, deadline)

    async def end(self, reason: EndReason | None = None) -> Leg:
        """Hang up. The call is over when ``ended()`` says so. Wire: ``calling.end``.

        Args:
            reason: hangup (the platform's default), cancel, busy, noAnswer, decline or error.
        """
        command = End(reason=reason)
        self.asked_reason = reason or "hangup"
        return await self.send(End.command, command)

    async def update(
        self,
        *,
        status: Literal["canceled", "completed"] | None = None,
        url: str | None = None,
        swml: dict[str, Any] | None = None,
        fallback_url: str | None = None,
        status_url: str | None = None,
    ) -> Leg:
        """Change the call: end it, or give it another dialplan. Wire: ``update``.

        Args:
            status: ``canceled`` while it is queued or ringing, ``completed`` while it is up.
            url: A SWML document's, for a call that is up; or *swml*, the document itself. Not both.
        """
        assert self.id is not None
        command = Update(
            id=self.id, status=status, url=url, swml=swml, fallback_url=fallback_url, status_url=status_url
        )
        if status is not None:
            self.asked_reason = "cancel" if status == "canceled" else "hangup"
        return await self.send(Update.command, command)

    async def cancel(self) -> Leg:
        """Cancel a call that is queued or ringing."""
        return await self.update(status="canceled")

    async def complete(self) -> Leg:
        """Complete a call that is up."""
        return await self.update(status="completed")

    async def send(self, command: str, params: object) -> Leg:
        """Send a command whose *params* are one of the Structs of ``swcalls.commands``; return the call's leg."""
        self.leg = await self._switchboard.send(self, command, params)
        return self.leg

    def _start(
        self, handle: type[A], command: StartCommand, deadline: float | None, options: Options = PLAIN
    ) -> ActionStart[A, Any]:
        """Prepare *command*; it is sent when the ``ActionStart`` is awaited."""
        check_seconds("deadline", deadline)
        return ActionStart(self._begin(handle(self, command.control_id, options), command, deadline))

    async def _begin(self, action: A, command: StartCommand, deadline: float | None) -> A:
        return await self._switchboard.start(action, command, deadline)

    def _raise_if_closed(self) -> None:
        if self.settled is not None and self.settled.error is not None:
            raise self.settled.error.with_traceback(None)


class CallStart:
    """A call that is about to be dialled: ``await`` it for the ``Call``, or ``async with`` it to hang up at the end."""

    __slots__ = ("_call", "_dial")

    def __init__(self, dial: Coroutine[Any, Any, Call]) -> None:
        self._dial = dial
        self._call: Call | None = None

    def __await__(self) -> Generator[Any, None, Call]:
        return self._dial.__await__()

    async def __aenter__(self) -> Call:
        self._call = await self._dial
        return self._call

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._call is None or self._call.over:
            return
        try:
            await self._call.end()
        except CallNotFound:
            pass  # It was over, and the news had not come yet.
        except SwcallsError:
            # What the block raised says more than that hanging up failed as well.
            if exc is None:
                raise


def check_seconds(name: str, value: float | None) -> None:
    """Refuse what is neither ``None`` nor a number of seconds greater than 0."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}={value!r} must be a number of seconds")
    if not 0 < value < float("inf"):
        raise ValueError(f"{name}={value!r} must be greater than 0 seconds")


def _given(control_id: str | None) -> str:
    return new_id() if control_id is None else control_id


def listed(value: str | Sequence[str] | None) -> str | list[str] | None:
    """Make a list of any sequence, but of a string."""
    return value if value is None or isinstance(value, str) else list(value)
