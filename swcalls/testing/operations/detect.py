"""The simulated ``calling.detect``: detects a machine, a fax or digits."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from swcalls.commands import Detect, DetectDigit, DetectFax, DetectMachine

from ..calls import Operation, SimulatedCall
from .collect import BETWEEN_DIGITS

TIMEOUT = 30.0
"""Seconds after which the detector finishes, if the command names none."""
VERDICT_AFTER = 1.0
"""Simulated seconds until the first finding."""
INITIAL_TIMEOUT = 4.5
"""Seconds without speech until the finding is UNKNOWN, if the command names none."""
GREETING = 3.0
"""Simulated seconds for which an answering machine still speaks after it was detected."""
READY_SILENCE = 1.0
"""Seconds of silence after which a machine is READY, if the command names none."""
FINISH_DELAY = 0.5
"""Simulated seconds from the last finding to ``finished``."""


class Detecting(Operation):
    """Posts each finding in ``detect.params.event``, then ``finished``; only the latter if nothing is found in time."""

    kind: ClassVar[str] = "detect"

    def __init__(self, call: SimulatedCall, command: Detect) -> None:
        super().__init__(call, command)
        self._detector = command.detect.params
        self._timeout = TIMEOUT if command.timeout is None else command.timeout
        self._type = {DetectMachine: "machine", DetectFax: "fax", DetectDigit: "digit"}[type(self._detector)]
        self._has_found = False

    def start(self) -> None:
        self.after(self._timeout, self.stop)
        match self._detector:
            case DetectMachine():
                self._detect_machine(self._detector)
            case DetectFax():
                self._detect_fax(self._detector.tone)
            case _:
                for index, digit in enumerate(self.call.presses.next()):
                    self.after(self.call.callee.reacts_after + index * BETWEEN_DIGITS, partial(self._press, digit))

    def _press(self, digit: str) -> None:
        self.call.press_key(digit)
        self.hear_digit(digit)

    def hear_digit(self, digit: str) -> None:
        if not isinstance(self._detector, DetectDigit) or self._has_found:
            return
        if not self._detector.digits or digit in self._detector.digits:
            self._find(digit)
            self.after(FINISH_DELAY, self.stop)

    def stop(self) -> None:
        self.finish()
        self._find("finished")

    def _detect_machine(self, detector: DetectMachine) -> None:
        match self.call.callee.is_machine:
            case None:
                timeout = INITIAL_TIMEOUT if detector.initial_timeout is None else detector.initial_timeout
                self._plan([(timeout, "UNKNOWN")])
            case False:
                self._plan([(VERDICT_AFTER, "HUMAN")])
            case True if detector.detect_message_end:
                silence = detector.machine_ready_timeout
                if silence is None:
                    silence = READY_SILENCE if detector.end_silence_timeout is None else detector.end_silence_timeout
                self._plan([(VERDICT_AFTER, "MACHINE"), (0.0, "NOT_READY"), (GREETING + silence, "READY")])
            case True:
                self._plan([(VERDICT_AFTER, "MACHINE")])

    def _detect_fax(self, wanted: str | None) -> None:
        tone = self.call.callee.fax_tone
        if tone is not None and (wanted is None or wanted.upper() == tone):
            self._plan([(VERDICT_AFTER, tone)])

    def _plan(self, findings: list[tuple[float, str]]) -> None:
        moment = 0.0
        for delay, event in findings:
            moment += delay
            self.after(moment, partial(self._find, event))
        self.after(moment + FINISH_DELAY, self.stop)

    def _find(self, event: str) -> None:
        self._has_found = True
        self.post(detect={"type": self._type, "params": {"event": event}}, segment_id=self.call.id)
