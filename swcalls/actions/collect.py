"""Collecting digits and speech: ``calling.collect`` and what controls it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace

from .._core.operation import Options
from ..call_leg import Leg
from ..commands import Collect, Digits, Speech, refuse_none
from ..results import CollectResult
from ..words import CollectState
from .action import Stoppable
from .start import ActionStart
from .verb_base import VerbBase, given


class CollectAction(Stoppable[CollectResult]):
    """A collect of digits or speech. Partial results and ``start_of_input`` are events, never the result.

    A continuous collect yields each result as an event, and ends when it is stopped or the call ends.
    """

    __slots__ = ()
    family: ClassVar[str] = "calling.collect"

    if TYPE_CHECKING:

        @property
        def state(self) -> CollectState | None: ...

    async def start_input_timers(self) -> Leg:
        """Start the timer of ``initial_timeout``, for a collect that was started with ``start_input_timers=False``.

        Wire: ``calling.collect.start_input_timers``.
        """
        leg = await self._control("start_input_timers")
        self._timers_are_started()
        return leg

    def _timers_are_started(self) -> None:
        """Start the duration limit, which was held back as long as the platform's timers were."""
        self._operation.options = replace(self._operation.options, held=False)
        self._start_bound()


class CollectVerbs(VerbBase):
    """The method of a ``Call`` that collects input."""

    __slots__ = ()

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

        ``no_input`` and ``no_match`` are results. The timer of *initial_timeout* starts at once; with the platform's
        own default the timer would wait for a command, and ``no_input`` might never come.

        ::

            result = await call.collect(digits=Digits(max=4), initial_timeout=10).finished()
            pin = result.digits if result.type == "digit" else None

        To play a question first, use ``prompt``; to ask again after a wrong input, ``ask``.

        Args:
            initial_timeout: Seconds to the first input (> 0).
            continuous: Yield each result as an event, until the collect is stopped or the call ends.
            partial_results: Yield the text recognised so far as events.
            send_start_of_input: Yield the first sign of input as an event.
        """
        refuse_none(Collect.command, start_input_timers=start_input_timers)
        command = Collect(
            control_id=given(control_id),
            status_url=status_url,
            digits=digits,
            speech=speech,
            initial_timeout=initial_timeout,
            continuous=continuous,
            partial_results=partial_results,
            send_start_of_input=send_start_of_input,
            start_input_timers=start_input_timers,
        )
        return self._start(CollectAction, command, deadline, options_of(command))


INITIAL_TIMEOUT = 4.0
DIGIT_TIMEOUT = 5.0
SPEECH_TIMEOUT = 60.0
END_SILENCE = 1.0
"""The platform's defaults, in seconds. Not documented for this API; source: the defaults of its other API."""


def options_of(collect: Collect) -> Options:
    """Return the options of *collect*: whether it is continuous, and how long it can run."""
    if collect.continuous:
        return Options(continuous=True)
    longest = 0.0
    if collect.digits is not None:
        longest = collect.digits.max * (collect.digits.digit_timeout or DIGIT_TIMEOUT)
    if collect.speech is not None:
        spoken = collect.speech.speech_timeout or SPEECH_TIMEOUT
        longest = max(longest, spoken + (collect.speech.end_silence_timeout or END_SILENCE))
    bound = (collect.initial_timeout or INITIAL_TIMEOUT) + longest
    return Options(bound=bound, held=not collect.start_input_timers)
