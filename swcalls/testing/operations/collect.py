"""The simulated ``calling.collect``: collects digits or speech."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from swcalls.commands import Collect

from ..calls import Operation, SimulatedCall
from ..clock import Timer
from ..speech import heard_within, speaking_time

# Simulated seconds, where the command names none.
INITIAL_TIMEOUT = 4.0
DIGIT_TIMEOUT = 5.0
END_SILENCE = 1.0
BETWEEN_DIGITS = 0.2
"""Simulated seconds from one scripted digit to the next."""
CONFIDENCE = 0.95
PARTIAL_CONFIDENCE = 0.61


class Collecting(Operation):
    """Posts one result; with ``continuous``, any number of results, and then ``finished``.

    The first digit, or the first word, decides which of the two is collected. The callee's script begins with the
    collect, also while the input timers do not run yet: a callee can answer during a prompt.
    """

    kind: ClassVar[str] = "collect"

    def __init__(self, call: SimulatedCall, command: Collect) -> None:
        super().__init__(call, command)
        self._digits = command.digits
        self._speech = command.speech
        self._is_continuous = command.continuous or False
        self._is_partial = command.partial_results or False
        self._reports_start = command.send_start_of_input or False
        self._initial_timeout = INITIAL_TIMEOUT if command.initial_timeout is None else command.initial_timeout
        self._timers_run = command.start_input_timers or False
        self._is_listening = False
        self._input: str | None = None
        """``"digit"`` or ``"speech"``, from the first input to the result."""
        self._pressed = ""
        self._has_reported_partial = False
        self._timer: Timer | None = None
        """The timeout for the first input, then for the next digit."""
        self._script: list[Timer] = []

    def start(self) -> None:
        self._is_listening = True
        self._listen(is_first=True)

    def start_input_timers(self) -> None:
        """Start the timeout for the first input; do nothing if it is running."""
        if not self._timers_run:
            self._timers_run = True
            if self._is_listening and self._input is None:
                self._wait(self._initial_timeout, self._give_up)

    def hear_digit(self, digit: str) -> None:
        wanted = self._digits
        if wanted is None or self._input == "speech":
            return
        self._begin_input("digit")
        if digit in (wanted.terminators or ""):
            self._settle_digits(digit)
            return
        self._pressed += digit
        if len(self._pressed) >= wanted.max:
            self._settle_digits("")
            return
        if self._is_partial:
            self._post_result("digit", {"digits": self._pressed, "terminator": ""}, is_final=False)
        self._wait(wanted.digit_timeout or DIGIT_TIMEOUT, lambda: self._settle_digits(""))

    def hear_speech_begin(self) -> None:
        if self._speech is not None and self._input is None:
            self._begin_input("speech")

    def hear_speech(self, text: str) -> None:
        if self._input != "speech":
            return
        self._report_partial(text)
        self._settle("speech", {"text": text, "confidence": CONFIDENCE})

    def stop(self) -> None:
        """End a continuous collect with ``finished``, another one with ``no_input``; neither is documented."""
        self.finish()
        if self._is_continuous:
            self.post(result={"type": "finished"}, state="finished")
        else:
            self.post(result={"type": "no_input"})

    def _listen(self, *, is_first: bool) -> None:
        self._input = None
        self._pressed = ""
        self._has_reported_partial = False
        self._follow_script(is_first=is_first)
        if self._timers_run:
            self._wait(self._initial_timeout, self._give_up)

    def _follow_script(self, *, is_first: bool) -> None:
        call = self.call
        begins = call.callee.reacts_after
        # A single string is input once for each collect; otherwise a continuous collect would get it without end.
        if self._digits is not None and (is_first or not call.presses.repeats):
            for index, digit in enumerate(call.presses.next()):
                self._plan(begins + index * BETWEEN_DIGITS, partial(self._press, digit))
        if self._speech is not None and (is_first or not call.says.repeats):
            text = call.says.next()
            if text:
                heard = heard_within(text, self._speech.speech_timeout or speaking_time(text))
                silence = self._speech.end_silence_timeout or END_SILENCE
                spoken = speaking_time(heard)
                self._plan(begins, partial(call.begin_to_say, heard))
                self._plan(begins, self.hear_speech_begin)
                self._plan(begins + spoken / 2, partial(self._report_partial, heard))
                self._plan(begins + spoken + silence, partial(call.overhear, "remote-caller", heard))
                self._plan(begins + spoken + silence, partial(self.hear_speech, heard))

    def _press(self, digit: str) -> None:
        self.call.press_key(digit)
        self.hear_digit(digit)

    def _report_partial(self, text: str) -> None:
        words = text.split()
        if self._input == "speech" and self._is_partial and not self._has_reported_partial and len(words) > 1:
            self._has_reported_partial = True
            half = " ".join(words[: len(words) // 2])
            self._post_result("speech", {"text": half, "confidence": PARTIAL_CONFIDENCE}, is_final=False)

    def _plan(self, seconds: float, act: Callable[[], None]) -> None:
        self._script.append(self.after(seconds, act))

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        self._stop_waiting()
        self._timer = self.after(seconds, then)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin_input(self, kind: str) -> None:
        self._stop_waiting()
        if self._input is None:
            self._input = kind
            if self._reports_start:
                self.post(result={"type": "start_of_input"})

    def _give_up(self) -> None:
        self._settle("no_input", None)

    def _settle_digits(self, terminator: str) -> None:
        self._settle("digit", {"digits": self._pressed, "terminator": terminator})

    def _settle(self, kind: str, params: dict[str, Any] | None) -> None:
        self._stop_waiting()
        for timer in self._script:
            timer.cancel()
        self._script.clear()
        if not self._is_continuous:
            self.finish()
        self._post_result(kind, params, is_final=True)
        if self._is_continuous:
            self._listen(is_first=False)

    def _post_result(self, kind: str, params: dict[str, Any] | None, *, is_final: bool) -> None:
        more: dict[str, Any] = {"result": {"type": kind} if params is None else {"type": kind, "params": params}}
        if self._is_partial and params is not None:
            more["final"] = is_final
        if self._is_continuous:
            more["state"] = "collecting"
        self.post(**more)
