"""Hearing a call: ``calling.stream`` to a WebSocket of our own."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, Literal, get_args

from .._core.audio_frame import ByteOrder
from .._core.audio_levels import louder
from .._core.audio_listeners import AudioListeners
from .._core.limits import check_number
from .._core.operation import Operation
from ..commands import Stream, Track, as_strings
from ..errors import AudioNotStarted, CallEnded, shown
from ..results import StreamResult
from .audio_feed import AudioFeed
from .call_audio import CallAudio
from .start import ActionStart
from .stream import StreamAction
from .verb_base import VerbBase, given

TrackName = Literal["inbound", "outbound", "both"]

_TRACKS: dict[TrackName, Track] = {"inbound": "inbound_track", "outbound": "outbound_track", "both": "both_tracks"}

GONE_WITHIN = 3.0
"""Seconds for which the end of the block waits until the connection is closed."""


class AudioStart:
    """Audio that is about to be heard: ``async with`` it for the ``CallAudio``. Nothing is sent before that.

    The block begins when the platform has sent its start message, and stops the stream when it ends. When the entering
    is cancelled, what may be running at the platform is stopped in the background.
    """

    def __init__(
        self,
        start: ActionStart[StreamAction, StreamResult],
        feed: AudioFeed,
        listeners: AudioListeners,
        start_timeout: float,
    ) -> None:
        self._start = start
        self._action = start._action
        self._feed = feed
        self._listeners = listeners
        self._start_timeout = start_timeout
        self._is_used = False

    def close(self) -> None:
        """Close a start that was not entered: nothing is sent, and no warning is issued."""
        self._start.close()

    async def __aenter__(self) -> CallAudio:
        """Start the stream, and wait until it has begun.

        Raises:
            AudioNotStarted: No start message came in time.
            CommandError: The command did not succeed.
            CallEnded: The call ended first.
            RuntimeError: It was entered before.
        """
        if self._is_used:
            raise RuntimeError("the block of one listen() can be entered once; call listen() again")
        self._is_used = True
        action, feed = self._action, self._feed
        # Before the command is sent: the connection may come before its answer does.
        self._listeners.expect(action.control_id, feed)
        try:
            await self._start.__aenter__()
        except BaseException:
            self._leave()
            raise
        try:
            self._watch()
            started = await self._started()
        except Exception as error:
            await self.__aexit__(type(error), error, None)
            raise
        except BaseException:
            self._leave()
            action._abandon()
            raise
        return CallAudio(action, feed, started)

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        feed, operation = self._feed, self._action._operation
        is_stopped = feed.ended_by == "stop"
        feed.end("local")
        try:
            if is_stopped:
                # The platform said so on the socket: there is nothing to stop, and the webhook must come soon.
                self._action.call._engine.registry.stopped(operation, time.monotonic())
            else:
                # First the command: closing the connection is not documented to end a stream.
                await self._start.__aexit__(exc_type, exc, traceback)
        finally:
            self._leave()
        try:
            async with asyncio.timeout(GONE_WITHIN):
                while feed.is_connected:
                    await feed.has_moved.wait()
        except TimeoutError:
            pass  # The handler of the connection closes it in any case.

    async def _started(self) -> Any:
        feed = self._feed
        try:
            async with asyncio.timeout(self._start_timeout):
                while (started := feed.messages.started) is None:
                    self._raise_if_over()
                    await feed.has_moved.wait()
        except TimeoutError:
            raise self._not_started(f"no start message came within start_timeout={self._start_timeout:g} s") from None
        return started

    def _raise_if_over(self) -> None:
        """Raise if no start message can come any more."""
        action, feed = self._action, self._feed
        if feed.ended_by is not None:
            if action.done() and action.exception() is not None:
                action.result()
            call = action._call_operation
            if call.has_ended:
                reason = call.end_reason
                what = f"stream {action.control_id}: the call ended ({reason or 'no reason given'})"
                raise CallEnded(what, reason=reason, action=action)
            raise self._not_started("the platform ended the stream before its start message")
        if feed.was_connected and not feed.is_connected:
            raise self._not_started("the connection was closed before the start message")

    def _not_started(self, what: str) -> AudioNotStarted:
        feed = self._feed
        if feed.refused:
            why = f"{feed.refused} connections were refused; the log of swcalls.audio says why"
        elif feed.was_connected:
            why = f"a connection came, and brought {feed.received} messages"
        else:
            why = "no connection came: the platform must reach public_url, or audio_url, by wss"
        return AudioNotStarted(f"stream {self._action.control_id}: {what}; {why}", action=self._action)

    def _leave(self) -> None:
        """Listen no more."""
        action = self._action
        self._listeners.forget(action.control_id)
        action._operation.unwatch(self._look)
        action._call_operation.unwatch(self._look)
        self._feed.leave()

    def _watch(self) -> None:
        action = self._action
        action._operation.watch(self._look)
        action._call_operation.watch(self._look)
        action._check_wait()
        self._look()

    def _look(self) -> None:
        """End the feed if the stream, or its call, is over. Called when either changes."""
        outcome, call = self._action._operation.outcome, self._action._call_operation
        if outcome is not None and outcome.settled_by == "closed":
            self._feed.leave()
        elif call.has_ended:
            self._feed.end_soon("call_ended")
        elif outcome is not None:
            self._feed.end_soon("stop")


class ListenVerbs(VerbBase):
    """Hears a call."""

    __slots__ = ()

    def listen(
        self,
        *,
        track: TrackName = "inbound",
        codec: str | None = None,
        max_lag: float = 2.0,
        start_timeout: float = 10.0,
        idle_timeout: float | None = None,
        byte_order: ByteOrder = "little",
        custom_parameters: Mapping[str, Any] | None = None,
    ) -> AudioStart:
        """Hear the call: ``async with`` it for its ``CallAudio``. Wire: ``calling.stream`` to the receiver.

        What the platform sends is documented for another product's streams; that these are alike is not confirmed on a
        live account.

        Args:
            track: ``inbound`` (what the platform hears from the call), ``outbound`` (what it plays to it) or ``both``.
            codec: ``PCMU@8000h`` (the platform's default), ``L16@16000h``, …; ``CallAudio.format`` says what came.
            max_lag: Seconds of each track that may wait to be read (> 0); what is older is dropped.
            start_timeout: Seconds in which the stream must have begun (> 0).
            idle_timeout: Seconds without a frame after which it has ended (> 0). Silence may be no frames.
            byte_order: Of L16 samples on the wire, which is not documented: ``little`` or ``big``.
            custom_parameters: Sent with the stream; each value as a string.

        Raises:
            ConfigurationError: There is no URL that the platform brings audio to: https, or *audio_url* of the client.
        """
        _check_choice("track", track, get_args(TrackName))
        _check_choice("byte_order", byte_order, get_args(ByteOrder))
        times = {"max_lag": max_lag, "start_timeout": start_timeout}
        if idle_timeout is not None:
            times["idle_timeout"] = idle_timeout
        for name, seconds in times.items():
            check_number(f"{Stream.command}: {name}", seconds, above=0, finite=True, unit="seconds")
        control_id, bearer = given(None), secrets.token_urlsafe(24)
        listeners = self._engine.listeners
        command = Stream(
            control_id=control_id,
            url=listeners.url(control_id),
            codec=codec,
            track=_TRACKS[track],
            authorization_bearer_token=bearer,
            custom_parameters=as_strings(custom_parameters),
            status_url_method="POST",
        )
        start = self._start(StreamAction, command, None, name="listen")
        operation = start._action._operation
        feed = AudioFeed(
            f"stream {control_id}",
            bearer,
            max_lag=max_lag,
            idle_timeout=idle_timeout,
            byte_order=byte_order,
            ended=None if operation.observer is None else partial(_note_in_timeline, operation),
        )
        return AudioStart(start, feed, listeners, start_timeout)


def _note_in_timeline(operation: Operation, feed: AudioFeed) -> None:
    """Note on the timeline of the call what was heard."""
    assert operation.observer is not None
    counts = f"{feed.heard} frames, {feed.messages.missing} missing, {feed.dropped} dropped"
    levels = louder(history.steps() for history in feed.levels.values())
    operation.observer.audio(operation.kind, operation.key, feed.began, feed.ended_by or "", levels, counts)


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        rule = " or ".join(map(repr, choices))
        raise ValueError(f"{Stream.command}: {name}={shown(value)} must be {rule}")
