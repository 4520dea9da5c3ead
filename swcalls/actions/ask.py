"""Asking until the answer will do: a prompt that is repeated. It has no command of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from .._core.acceptance import Accept, Acceptance
from .._core.limits import check_number
from ..commands import TTS, Audio, Digits, Direction, Gender, Media, Ringtone, Silence, Speech
from ..errors import shown
from ..results import AskResult, CollectResult
from .prompt import PromptAction, PromptVerbs
from .start import ActionStart, ResultStart

Prompt = Callable[..., ActionStart[PromptAction, CollectResult]]


class AskVerbs(PromptVerbs):
    """The method of a ``Call`` that asks a question several times."""

    __slots__ = ()

    def ask(
        self,
        *media: Media,
        digits: Digits | None = None,
        speech: Speech | None = None,
        accept: Accept | None = None,
        attempts: int = 3,
        on_no_input: Media | Sequence[Media] = (),
        on_wrong: Media | Sequence[Media] = (),
        barge_in: bool = True,
        initial_timeout: float | None = None,
        volume: float | None = None,
        direction: Direction | None = None,
        loop: int | None = None,
        language: str | None = None,
        voice: str | None = None,
        gender: Gender | None = None,
        deadline: float | None = None,
    ) -> ResultStart[AskResult]:
        """Play *media*, collect *digits* or *speech*, and ask again until the input is accepted.

        ::

            answer = await call.ask(TTS("Sales, one. Support, two."), digits=Digits(max=1), accept={"1", "2"})
            match answer.value:
                case "1": ...
                case "2": ...
                case _: ...  # three times nothing, or another key

        Attempts that are used up are a result, whose ``value`` is ``None``, and no exception: a caller who stays silent
        is an everyday case of a menu, like ``no_input`` of ``collect``, and a handler of inbound calls that forgets it
        must not fail with a traceback. A wrong input is never in ``value``, only in ``last``.

        Each attempt is a prompt of its own, so there is no ``control_id``. Cancelling stops the one that runs.

        Args:
            accept: Which input will do. Strings: the input is one of them (of what was said, case and the punctuation
                around it do not count). A regular expression, as text or compiled: it matches the whole input. A
                function: it gets the input, and returns whether it will do. ``None``: any input that is not empty.
            attempts: How many times to ask (>= 1).
            on_no_input: What to play before asking again, when nothing was pressed or said.
            on_wrong: What to play before asking again, when the input was not accepted, or not understood.
            deadline: Seconds (> 0) after which one attempt expires (``ActionExpired``).
            initial_timeout: This and the rest are as in ``prompt``, and hold for each attempt.

        Raises:
            ValueError: *accept* accepts none of the inputs that ``Digits(max=1)`` allows, or is no regular expression.
            CallEnded: The caller has hung up.
            ActionFailed: The platform reported an error; ``ActionExpired``: it did not report the end of an attempt.
        """
        acceptance = Acceptance(accept)
        check_number("ask: attempts", attempts, least=1, whole=True)
        before = _several("on_no_input", on_no_input), _several("on_wrong", on_wrong)
        prompt: Prompt = partial(
            self.prompt,
            digits=digits,
            speech=speech,
            barge_in=barge_in,
            initial_timeout=initial_timeout,
            volume=volume,
            direction=direction,
            loop=loop,
            language=language,
            voice=voice,
            gender=gender,
            deadline=deadline,
        )
        prompt(*media).close()  # Its arguments are checked before anything is sent.
        if digits is not None and digits.max == 1 and speech is None:
            acceptance.check_one_key()
        return ResultStart("Call.ask", lambda: _ask(prompt, media, *before, acceptance, attempts))


async def _ask(
    prompt: Prompt,
    media: tuple[Media, ...],
    on_no_input: tuple[Media, ...],
    on_wrong: tuple[Media, ...],
    acceptance: Acceptance,
    attempts: int,
) -> AskResult:
    said: tuple[Media, ...] = ()
    attempt = 0
    while True:
        attempt += 1
        last = await prompt(*said, *media).finished()
        is_spoken = last.type == "speech"
        value = acceptance.accepted(last.text if is_spoken else last.digits, spoken=is_spoken)
        if value is not None or attempt == attempts:
            return AskResult(value=value, attempts=attempt, last=last, payload=last.payload)
        said = on_no_input if last.type == "no_input" else on_wrong


def _several(name: str, media: object) -> tuple[Media, ...]:
    """Return *media*, one item or several, as a tuple, after a check."""
    items = tuple(media) if isinstance(media, Sequence) and not isinstance(media, str | bytes) else (media,)
    for item in items:
        if type(item) not in (Audio, TTS, Silence, Ringtone):
            raise TypeError(f"ask: {name}={shown(media)} must be Audio, TTS, Silence or Ringtone, or several of them")
    return cast(tuple[Media, ...], items)
