"""``calling.detect``: detect an answering machine, a fax, or digits."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from ..errors import shown
from ._base import Item, KeyedCommand, Value, always_sent
from ._types import INT32_MAX, Dtmf, Seconds


class DetectMachine(Value, frozen=True, kw_only=True):
    """Tell a person from an answering machine.

    Timeouts are in seconds. With *detect_message_end*, the detector waits for the end of a machine's greeting, so that
    a message can be left after it. It is always sent: the defaults of the platform's own methods differ.
    """

    initial_timeout: Seconds | None = None
    end_silence_timeout: Seconds | None = None
    machine_ready_timeout: Seconds | None = None
    machine_voice_threshold: Seconds | None = None
    machine_words_threshold: Annotated[int, Meta(ge=0, le=INT32_MAX, description="words")] | None = None
    detect_interruptions: bool | None = None
    detect_message_end: bool = always_sent(True)


class DetectFax(Value, frozen=True, kw_only=True):
    """Detect a fax *tone*; without *tone*, either of the two."""

    tone: Literal["CNG", "CED", "cng", "ced"] | None = None


class DetectDigit(Value, frozen=True, kw_only=True):
    """Detect any of *digits* (``0-9 A-D * #``); without *digits*, any digit."""

    digits: Dtmf | None = None


class MachineItem(Item, frozen=True, tag_field="type", tag="machine"):
    params: DetectMachine = DetectMachine()


class FaxItem(Item, frozen=True, tag_field="type", tag="fax"):
    params: DetectFax = DetectFax()


class DigitItem(Item, frozen=True, tag_field="type", tag="digit"):
    params: DetectDigit = DetectDigit()


Detector = DetectMachine | DetectFax | DetectDigit
DetectorItem = MachineItem | FaxItem | DigitItem

_ITEMS: dict[type, Any] = {DetectMachine: MachineItem, DetectFax: FaxItem, DetectDigit: DigitItem}


def detector_item(detector: Detector) -> DetectorItem:
    """Return *detector* in the form of the wire's ``detect``."""
    item = _ITEMS.get(type(detector))
    if item is None:
        raise TypeError(f"calling.detect: detector={shown(detector)} must be DetectMachine, DetectFax or DetectDigit")
    made: DetectorItem = item(params=detector)
    return made


class Detect(KeyedCommand, kw_only=True):
    command: ClassVar[str] = "calling.detect"

    detect: DetectorItem
    timeout: Seconds | None = None
