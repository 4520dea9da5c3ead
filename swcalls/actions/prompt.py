"""Prompts: a playback and a collect that are started and stopped together."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from .._core.limits import check_seconds
from .._core.operation import PLAIN, Operation, Options, bounded
from .._engine.call_logging import about
from .._engine.ids import new_id
from ..call_leg import Leg
from ..commands import TTS, Collect, Digits, Direction, Gender, Media, Play, Speech, media_item
from ..errors import ActionExpired, ActionFailed, ClientClosed, CommandRejected, SwcallsError, shown
from ..results import CollectResult
from .call_base import CallBase
from .collect import CollectAction, options_of
from .play import PlayAction
from .start import ActionStart
from .verb_base import VerbBase, given
from .waiting import until

_log = logging.getLogger("swcalls.actions")


SECONDS_A_CHARACTER = 0.4
"""The longest time that a TTS character may take: three times that of slow speech in any language."""

FALSE_START = 1.0
"""Seconds to wait for the input itself after the first sign of input. Only without an input the timers are started
then: if a key has ended the collect, the platform would refuse the command."""


class PromptAction(CollectAction):
    """A prompt: the result is the input. The events are those of the collect; ``playback`` is the playback's handle.

    After the prompt has settled, for any reason, collect and playback are stopped.
    """

    __slots__ = ("_is_stopped", "playback")

    def __init__(self, call: CallBase, control_id: str, options: Options, playback: PlayAction) -> None:
        super().__init__(call, control_id, options)
        self.playback: PlayAction = playback
        self._is_stopped = False

    async def stop(self) -> Leg | None:
        """Stop the playback and the collect."""
        self._is_stopped = True
        await self._stop_playback()
        return await super().stop()

    def _abandon(self) -> None:
        if not self.done():
            # After the prompt has settled, `_conduct` stops both.
            super()._abandon()

    async def _conduct(self, *, barge_in: bool) -> None:
        """Stop the playback at the first sign of input (*barge_in*), and start the timers when the playback is over.

        When the prompt has settled, stop what still runs of playback and collect. Runs in a task of the client.
        """
        playback = self.playback

        def must_act() -> bool:
            return self.done() or playback.done() or (barge_in and self._operation.last_event is not None)

        try:
            await self._until(must_act, playback._operation)
            if not self._is_over() and not playback.done():
                await self._stop_playback()
                with suppress(TimeoutError):
                    await self._until(self._is_over, timeout=FALSE_START)
            if not self._is_over():
                if playback.done() and not isinstance(playback.exception(), ActionExpired):
                    # Without a webhook for its end (`ActionExpired`), the playback must be over by now, too.
                    playback.result()
                # Not earlier: the timers must not run while the prompt is being played.
                await self.start_input_timers()
        except CommandRejected as refusal:
            # The collect has ended, and its last event is on the way: it needs no timers any more.
            _log.info(
                "%s %s: timers not started: %s", self.kind, self.control_id, refusal, extra=about(self._operation)
            )
            # If it has not ended, the platform waits for the first input without end.
            self._timers_are_started()
        except ClientClosed:
            return
        except SwcallsError as error:
            failure = ActionFailed(f"{self.kind} {self.control_id}: the prompt failed: {error}", action=self)
            self.call._engine.registry.settler.settle(self._operation, "callback", error=failure)
        await self._until(self.done)
        await self._stop_playback()
        if self.exception() is not None:
            # The prompt settled without an event of the platform, where the collect may still be running.
            await self._stop_collect()

    def _is_over(self) -> bool:
        """Return whether the prompt has settled, or is being stopped."""
        return self.done() or self._is_stopped

    async def _until(self, ready: Callable[[], bool], *others: Operation, timeout: float | None = None) -> None:
        await until(ready, "finished", timeout, self._operation, *others, check=self._check_wait)

    async def _stop_playback(self) -> None:
        if not self.playback._operation.stopping:
            await quietly(self.playback.stop())

    async def _stop_collect(self) -> None:
        if not (self._operation.stopping or self._call_operation.is_known_to_have_ended):
            await quietly(self.call._engine.stop(self._operation, *self._stop_command()))


class PromptVerbs(VerbBase):
    """The method of a ``Call`` that plays a prompt and collects the input."""

    __slots__ = ()

    def prompt(
        self,
        *media: Media,
        digits: Digits | None = None,
        speech: Speech | None = None,
        barge_in: bool = True,
        initial_timeout: float | None = None,
        partial_results: bool | None = None,
        volume: float | None = None,
        direction: Direction | None = None,
        loop: int | None = None,
        language: str | None = None,
        voice: str | None = None,
        gender: Gender | None = None,
        control_id: str | None = None,
        status_url: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[PromptAction, CollectResult]:
        """Play *media* and collect *digits* or *speech*. Wire: ``calling.collect`` and ``calling.play``.

        ::

            result = await call.prompt(TTS("Please enter your PIN."), digits=Digits(max=4)).finished()

        To check the input, and to ask again, use ``ask``.

        The timer of *initial_timeout* starts when the playback has ended. ``async with`` stops both at the end, and so
        does a ``.finished()`` that is cancelled or times out. Without a webhook for the end of the playback, the timer
        starts after the longest time that *media* can last (``Limits.playback`` for a file).

        Args:
            barge_in: Stop the playback at the first sign of input.
            initial_timeout: Seconds to the first input (> 0).
            volume: This and the rest are as in ``play``.
        """
        check_seconds("deadline", deadline)
        if not isinstance(barge_in, bool):
            raise TypeError(f"{Collect.command}: barge_in={shown(barge_in)} must be True or False")
        collect = Collect(
            control_id=given(control_id),
            status_url=status_url,
            digits=digits,
            speech=speech,
            initial_timeout=initial_timeout,
            partial_results=partial_results,
            send_start_of_input=barge_in or None,
            start_input_timers=False,
        )
        play = Play(
            control_id=new_id(),
            status_url=status_url,
            play=[media_item(item) for item in media],
            volume=volume,
            direction=direction,
            loop=loop,
            language=language,
            voice=voice,
            gender=gender,
        )
        length = _longest(media, loop, self._engine.limits.playback)
        playback = PlayAction(self, play.control_id, bounded(length))
        options = PLAIN if deadline is not None else options_of(collect)
        action = PromptAction(self, collect.control_id, options, playback)
        run = partial(self._ask, action, collect, play, deadline, barge_in=barge_in)
        return ActionStart("Call.prompt", action, run, deadline)

    async def _ask(
        self, action: PromptAction, collect: Collect, play: Play, deadline: float | None, *, barge_in: bool
    ) -> PromptAction:
        engine = self._engine
        await engine.start(action._operation, collect, deadline)
        try:
            await engine.start(action.playback._operation, play, None)
        except BaseException:
            super(PromptAction, action)._abandon()
            raise
        engine.tasks.spawn(action._conduct(barge_in=barge_in))
        return action


def _longest(media: tuple[Media, ...], loop: int | None, unknown: float) -> float | None:
    """Return how many seconds *media* can last at most, *unknown* for a file; ``None``: they repeat endlessly."""
    if loop == 0:
        return None
    seconds = 0.0
    for item in media:
        if isinstance(item, TTS):
            seconds += len(item.text) * SECONDS_A_CHARACTER
        else:
            seconds += getattr(item, "duration", None) or unknown
    return seconds * (loop or 1)


async def quietly(command: Awaitable[Any]) -> None:
    """Await a command that cleans up, and only log its error: perhaps there is nothing left to stop."""
    try:
        await command
    except SwcallsError as error:
        _log.info("cleaning up after a prompt: %s", error)
