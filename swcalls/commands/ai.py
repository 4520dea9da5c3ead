"""Commands to an AI agent on a call: hold, message, stop."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from ._base import Command, Value
from ._types import Document, Name

Role = Literal["system", "user", "assistant"]


class AIHold(Command, kw_only=True):
    """*timeout* is a number of seconds, as a string of digits: the platform refuses a number."""

    command: ClassVar[str] = "calling.ai_hold"

    timeout: Annotated[str, Meta(pattern=r"^[0-9]+\Z", description="a whole number of seconds")] | None = None
    prompt: Name | None = None


class Reset(Value, frozen=True, kw_only=True):
    """Reset an AI agent: its history, its prompts, or both."""

    full_reset: bool | None = None
    user_prompt: str | None = None
    system_prompt: str | None = None


class AIMessage(Command, kw_only=True):
    command: ClassVar[str] = "calling.ai_message"

    role: Role | None = None
    message_text: str | None = None
    reset: Reset | None = None
    global_data: Document | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.message_text is None and self.reset is None and self.global_data is None:
            self._refuse("message_text", "given, or reset, or global_data")


class AIStop(Command, kw_only=True):
    command: ClassVar[str] = "calling.ai.stop"

    control_id: Name | None = None
