"""The simulated ``calling.ai_sidecar`` and its commands: an AI sidecar with fixed insights and answers."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from swcalls.commands import Bare, Sidecar, SidecarAsk, SidecarPoke

from ..calls import Operation, Party, SimulatedCall
from ..contract import conflict, not_found, unprocessable

THINKING_SECONDS = 1.0
"""Simulated seconds from an utterance to the insight, and from a question to the answer."""


class SidecarRun(Operation):
    """Posts ``start``; ``turn`` and ``insight`` for each utterance; at the end ``stop`` (if stopped) and ``final``."""

    kind: ClassVar[str] = "ai_sidecar"

    def __init__(self, call: SimulatedCall, command: Sidecar) -> None:
        super().__init__(call, command)
        self._command = command
        self._url = command.url
        self._counts = {"ticks": 0, "insights": 0, "skips": 0, "tools": 0, "errors": 0}
        self._began = self.clock.now()

    def start(self) -> None:
        self._post_event("start", model=self._command.model or "gpt-4o-mini", tools=[], global_data={})

    def overhear(self, party: Party, text: str) -> None:
        speaker = "customer_text" if party == "remote-caller" else "agent_text"
        self._post_event("turn", transcript_delta=text, **{speaker: text})
        self.after(THINKING_SECONDS, lambda: self.think(f"They said: {text}"))

    def think(self, thought: str) -> None:
        """Post an ``insight`` with the text *thought*."""
        self._counts["insights"] += 1
        self._post_event("insight", raw=thought, iter=0, total_iters=1)

    def ask(self, question: str) -> str:
        """Return the id of a question; its answer is posted a little later."""
        ask_id = str(uuid.uuid4())
        self._post_event("ask_request", question=question, ask_id=ask_id)
        answer = {"raw": self.call.callee.knows, "iter": 0, "total_iters": 1, "ask_id": ask_id, "triggered_by": "ask"}
        self.after(THINKING_SECONDS, lambda: self._post_event("ask_answer", **answer))
        return ask_id

    def status(self) -> str:
        """Return the counters in the platform's format, one line of text."""
        counts = self._counts | {"in_tokens": 100, "out_tokens": 20, "history_size": 5, "event_log_bytes": 1024}
        return "+OK running=1 " + " ".join(f"{name}={count}" for name, count in counts.items())

    def stop(self) -> None:
        self._post_event("stop", stop_reason="api_stop")
        self._end("api_stop")

    def call_ended(self) -> None:
        self._end("transcribe_close")

    def _end(self, reason: str) -> None:
        self.finish()
        params = self._command.params
        wanted = params is not None and (params.final_summary or params.ai_summary)
        summary = {"summary": f"{len(self.call.spoken)} sentences were said."} if wanted else {}
        self._post_event(
            "final",
            stop_reason=reason,
            **summary,
            history=[],
            event_log=[],
            stats=self._counts,
            metrics={},
            global_data={},
            model=self._command.model or "gpt-4o-mini",
            started_at=int(self._began),
            ended_at=int(self.clock.now()),
            duration_ms=int((self.clock.now() - self._began) * 1000),
        )

    def _post_event(self, type_: str, **fields: Any) -> None:
        self._counts["ticks"] += 1
        sidecar_event = {
            "type": type_,
            "ts": int(self.clock.now() * 1_000_000),
            "tick_id": self._counts["ticks"],
            "channel_data": {"call_id": self.call.id, "destination_number": self.call.to},
            **fields,
        }
        call_info = {
            **self.call.wire.origin(),
            "call_id": self.call.id,
            "content_type": "text/json",
            "content_disposition": "post_data",
            "conversation_type": "voice",
        }
        payload = {"call_info": call_info, "sidecar_event": sidecar_event}
        self.call.wire.post_plain(self._url, self.call.id, payload)


def attach(call: SimulatedCall, command: Sidecar) -> None:
    """Carry out ``calling.ai_sidecar``; with ``summarize``, only a summary is posted, and no sidecar is attached."""
    if call.state != "answered":
        raise unprocessable("invalid_state", "the call must be answered", "id")
    if command.action is not None:
        summary = {"call_id": call.id, "event_type": "summary", "text": f"{len(call.spoken)} sentences were said."}
        call.wire.post_plain(command.action.summarize.webhook or command.url, call.id, summary)
        return
    if call.any_of("ai_sidecar", "live_transcribe"):
        raise conflict()
    call.begin(SidecarRun(call, command))


def _running(call: SimulatedCall) -> SidecarRun:
    for operation in call.operations.values():
        if isinstance(operation, SidecarRun):
            return operation
    raise not_found()


def poke(call: SimulatedCall, command: SidecarPoke) -> None:
    """Carry out ``calling.ai_sidecar.poke``."""
    _running(call).think(f"I was told: {command.text}")


def ask(call: SimulatedCall, command: SidecarAsk) -> dict[str, str]:
    """Carry out ``calling.ai_sidecar.ask``."""
    return {"ask_id": _running(call).ask(command.text)}


def stop(call: SimulatedCall, _: Bare) -> None:
    """Carry out ``calling.ai_sidecar.stop``."""
    _running(call).stop()


def status(call: SimulatedCall, _: Bare) -> str:
    """Carry out ``calling.ai_sidecar.status``."""
    return _running(call).status()
