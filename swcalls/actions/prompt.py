"""Asking: a collect and a playback that belong together."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import Any

from .._core.operation import PLAIN, CallOperation, Options
from ..commands import Collect, Digits, Direction, Gender, Media, Play, Speech, media_item
from ..errors import ActionFailed, CommandError, CommandRejected, SwcallsError, shown
from ..legs import Leg
from ..logbook import about
from ..results import CollectResult
from ._line import Line, check_seconds, given, new_id
from ._start import ActionStart
from ._waiting import until
from .collect import CollectAction, options_of
from .play import PlayAction

_log = logging.getLogger("swcalls.actions")


class PromptAction(CollectAction):
    """A question: its result is what was pressed or said. Its events are the collect's; ``playback`` is the prompt.

    Once it has settled, for whatever reason, neither the collect nor the playback is left running.
    """

    __slots__ = ("playback",)

    def __init__(self, call: CallOperation, control_id: str, options: Options) -> None:
        super().__init__(call, control_id, options)
        self.playback: PlayAction = PlayAction(call, new_id())

    async def stop(self) -> Leg | None:
        """Stop the playback and the collect."""
        await quietly(self.playback.stop())
        return await super().stop()

    async def conduct(self, line: Line, *, barge_in: bool) -> None:
        """See the two through, to the end of both."""
        playback = self.playback

        def is_time_to_act() -> bool:
            return self.done() or playback.done() or (barge_in and bool(self.history))

        try:
            await until(is_time_to_act, None, self, playback)
            if not self.done():
                if playback.done():
                    playback.result()
                else:
                    await quietly(playback.stop())
                # Had they been started before, the clock would have run while the prompt was still being played.
                await self.start_input_timers()
        except CommandRejected as refusal:
            # It ended while its last event was on the way, and does not need its timers any more.
            _log.info("%s %s: timers not started: %s", self.kind, self.key, refusal, extra=about(self))
        except SwcallsError as error:
            line._sender.fail(self, ActionFailed(f"{self.kind} {self.key}: the prompt failed: {error}", action=self))
        try:
            await until(self.done, None, self)
        finally:
            await quietly(playback.stop())
            if self.settled is not None and self.settled.error is not None and not line.has_ended:
                # It ended here, and not because the platform said so: there it may go on.
                await quietly(self._control("stop"))


class PromptStart(ActionStart[PromptAction, CollectResult]):
    """A prompt that is about to be started."""

    __slots__ = ()

    async def finished(self, timeout: float | None = None) -> CollectResult:
        """Ask, and wait for the answer. When the wait is cancelled or times out, the prompt is stopped."""
        prompt = await self._start
        try:
            return await prompt.finished(timeout)
        finally:
            if not prompt.done():
                await quietly(prompt.stop())


class PromptVerbs(Line):
    """Asks on a call."""

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
    ) -> PromptStart:
        """Play *media* and collect *digits* or *speech*. Wire: ``calling.collect`` and ``calling.play``.

        The clock of *initial_timeout* starts when the playback has ended. Its ``async with`` stops both at the end, and
        so does a ``.finished()`` that is cancelled or times out.

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
        action = PromptAction(self, collect.control_id, PLAIN if deadline is not None else options_of(collect))
        play = Play(
            control_id=action.playback.key,
            status_url=status_url,
            play=[media_item(item) for item in media],
            volume=volume,
            direction=direction,
            loop=loop,
            language=language,
            voice=voice,
            gender=gender,
        )
        return PromptStart(self._ask(action, collect, play, deadline, barge_in=barge_in))

    async def _ask(
        self, action: PromptAction, collect: Collect, play: Play, deadline: float | None, *, barge_in: bool
    ) -> PromptAction:
        await self._sender.start(action, collect, deadline)
        try:
            await self._sender.start(action.playback, play, None)
        except BaseException:
            await quietly(action.stop())
            raise
        self._sender.spawn(action.conduct(self, barge_in=barge_in))
        return action


async def quietly(command: Awaitable[Any]) -> None:
    """Send a command that only tidies up: there may be nothing left to tidy, and nobody to tell."""
    try:
        await command
    except CommandError as error:
        _log.info("%s", error)
