"""`execute`: carries out one command on the simulated calls, by a table of all commands. The `Simulator` calls it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct

from swcalls.commands import (
    AIHold,
    AIMessage,
    AIStop,
    Bare,
    Collect,
    Control,
    Detect,
    Dial,
    End,
    KeyedCommand,
    LiveTranscribe,
    LiveTranslate,
    Play,
    PlayVolume,
    Record,
    RecordPause,
    Refer,
    Sidecar,
    SidecarAsk,
    SidecarPoke,
    Stream,
    Tap,
    Transcribe,
    Transfer,
    Update,
    UserEvent,
)

from .calls import Operation, SimulatedCall
from .contract import (
    Check,
    Raw,
    check_action,
    check_collect,
    check_dial,
    check_envelope,
    check_filled,
    check_hold,
    check_refer,
    check_tap,
    check_transfer,
    check_update,
    conflict,
    not_found,
    read_params,
    unprocessable,
)
from .exchange import Exchange
from .operations import (
    Collecting,
    Detecting,
    Playing,
    ReceivingFax,
    Recording,
    Referring,
    SendingFax,
    Streaming,
    Tapping,
    Transcribing,
    live_transcribe,
    live_translate,
    sidecar,
)
from .sidecar_rules import check_sidecar
from .swml import Bridge, check_swml

OperationT = TypeVar("OperationT", bound=Operation)
StartT = TypeVar("StartT", bound=KeyedCommand)

Act = Callable[[SimulatedCall, Any], Raw | str | None]
"""Carries out a command on a call; returns keys to add to the leg in the response, or a response that is text."""


class Row(NamedTuple):
    """One command: the Struct of its ``params``, what it does, and a check of rules that the Struct cannot express."""

    params: type[Struct]
    act: Act
    check: Check | None = None


def execute(exchange: Exchange, request: Raw) -> Raw | str:
    """Carry out *request*, and return the response: the call's leg, or a line of text.

    Raises:
        Refusal: The request is wrong; nothing was done.
    """
    check_filled(request, "command")
    command = request["command"]
    if command == "dial":
        params = check_envelope(request, has_id=False)
        dial = read_params(params, Dial, check_dial)
        check_swml(dial.swml, "swml")
        call = exchange.dial(dial)
        return {**call.leg(), "status": "queued"}
    row = ROWS.get(command) if isinstance(command, str) else None
    if row is None:
        raise unprocessable("invalid_command_attempted", "command is not one of the supported commands", "command")
    params = check_envelope(request, has_id=row.params is not Update)
    decoded = read_params(params, row.params, row.check)
    call = _find_call(exchange, decoded.id if isinstance(decoded, Update) else request["id"])
    if call.state == "ended" and not isinstance(decoded, Update):
        raise not_found()
    answer = row.act(call, decoded)
    return answer if isinstance(answer, str) else {**call.leg(), **(answer or {})}


def _find_call(exchange: Exchange, call_id: str) -> SimulatedCall:
    call = exchange.calls.get(call_id)
    if call is None:
        raise not_found()
    return call


def _update(call: SimulatedCall, update: Update) -> None:
    """Carry out ``update``, by the transition rules at the beginning of the wire contract's section b."""
    is_waiting = call.state in ("queued", "created", "ringing")
    if call.state == "ended":
        raise unprocessable("cannot_update_completed", "a call that has ended accepts no update", "id")
    if update.status == "canceled" and not is_waiting:
        raise unprocessable("cannot_cancel_in_progress", "only a queued or ringing call can be canceled", "status")
    if update.status == "completed" and is_waiting:
        raise unprocessable("call_update_failed", "only a call in progress can be completed", "status")
    if (update.url is not None or update.swml is not None) and is_waiting:
        attribute = "swml" if update.url is None else "url"
        raise unprocessable("cannot_redirect_not_in_progress", "only a call in progress can be redirected", attribute)
    check_swml(update.swml, "swml")
    call.redirect(url=update.url, swml=update.swml, status_url=update.status_url)
    if update.status is not None:
        call.end("cancel" if update.status == "canceled" else "hangup")


def _end(call: SimulatedCall, end: End) -> None:
    call.end(end.reason or "hangup")


def _transcribe(call: SimulatedCall, command: Transcribe) -> None:
    if call.any_of("transcribe"):
        raise conflict()
    call.begin(Transcribing(call, command))


def _refer(call: SimulatedCall, command: Refer) -> None:
    if "sip" not in (call.device_type, call.from_.partition(":")[0]):
        raise unprocessable("cannot_process", "only a SIP call can be referred", "id")
    call.begin(Referring(call, command))


def _transfer(call: SimulatedCall, transfer: Transfer) -> None:
    """Run the document if ``dest`` is one; a URL or an address is accepted, and has no effect."""
    if isinstance(transfer.dest, dict):
        check_swml(transfer.dest, "dest")
        call.redirect(swml=transfer.dest)


def _disconnect(call: SimulatedCall, params: object) -> None:
    if isinstance(call.line, Bridge):
        call.line.part()


def _do_nothing(call: SimulatedCall, params: object) -> None:
    """Accept a command that has no effect in the simulation."""


def _start(
    command: type[StartT], kind: Callable[[SimulatedCall, StartT], Operation], check: Check | None = None
) -> Row:
    """Return the row of a command that starts an operation of *kind*."""

    def act(call: SimulatedCall, params: StartT) -> None:
        operation = kind(call, params)
        if (operation.kind, operation.control_id) in call.operations:
            raise unprocessable("invalid_parameter", "control_id is in use on this call", "control_id")
        call.begin(operation)

    return Row(command, act, check)


def _control(kind: type[OperationT], verb: Callable[[OperationT], None]) -> Row:
    """Return the row of a command that calls *verb* of a running operation."""
    return _control_with_params(Control, kind, lambda operation, _: verb(operation))


def _no_effect(params: type[Struct] = Bare, check: Check | None = None) -> Row:
    """Return the row of a command that is checked and accepted, and has no effect."""
    return Row(params, _do_nothing, check)


def _control_with_params(command: type[Struct], kind: type[OperationT], verb: Callable[[OperationT, Any], None]) -> Row:
    """Return the row of a command that calls *verb* of a running operation with the command's parameters."""

    def act(call: SimulatedCall, params: Any) -> None:
        operation = call.find(kind, params.control_id)
        if operation is None:
            raise not_found()
        verb(operation, params)

    return Row(command, act)


ROWS: dict[str, Row] = {
    "update": Row(Update, _update, check_update),
    "calling.end": Row(End, _end),
    "calling.play": _start(Play, Playing),
    "calling.play.pause": _control(Playing, Playing.pause),
    "calling.play.resume": _control(Playing, Playing.resume),
    "calling.play.stop": _control(Playing, Playing.stop),
    "calling.play.volume": _control_with_params(PlayVolume, Playing, Playing.set_volume),
    "calling.record": _start(Record, Recording),
    "calling.record.pause": _control_with_params(RecordPause, Recording, Recording.pause),
    "calling.record.resume": _control(Recording, Recording.resume),
    "calling.record.stop": _control(Recording, Recording.stop),
    "calling.collect": _start(Collect, Collecting, check_collect),
    "calling.collect.stop": _control(Collecting, Collecting.stop),
    "calling.collect.start_input_timers": _control(Collecting, Collecting.start_input_timers),
    "calling.detect": _start(Detect, Detecting),
    "calling.detect.stop": _control(Detecting, Detecting.stop),
    "calling.tap": _start(Tap, Tapping, check_tap),
    "calling.tap.stop": _control(Tapping, Tapping.stop),
    "calling.transcribe": Row(Transcribe, _transcribe),
    "calling.transcribe.stop": _control(Transcribing, Transcribing.stop),
    "calling.refer": Row(Refer, _refer, check_refer),
    "calling.live_transcribe": Row(LiveTranscribe, live_transcribe, check_action),
    "calling.live_translate": Row(LiveTranslate, live_translate, check_action),
    "calling.ai_sidecar": Row(Sidecar, sidecar.attach, check_sidecar),
    "calling.ai_sidecar.poke": Row(SidecarPoke, sidecar.poke),
    "calling.ai_sidecar.ask": Row(SidecarAsk, sidecar.ask),
    "calling.ai_sidecar.stop": Row(Bare, sidecar.stop),
    "calling.ai_sidecar.status": Row(Bare, sidecar.status),
    "calling.send_fax.stop": _control(SendingFax, SendingFax.stop),
    "calling.receive_fax.stop": _control(ReceivingFax, ReceivingFax.stop),
    "calling.ai_hold": _no_effect(AIHold, check_hold),
    "calling.ai_unhold": _no_effect(),
    "calling.ai_message": _no_effect(AIMessage),
    "calling.ai.stop": _no_effect(AIStop),
    "calling.denoise": _no_effect(),
    "calling.denoise.stop": _no_effect(),
    "calling.disconnect": Row(Bare, _disconnect),
    "calling.transfer": Row(Transfer, _transfer, check_transfer),
    "calling.user_event": _no_effect(UserEvent),
    "calling.stream": _start(Stream, Streaming),
    "calling.stream.stop": _control(Streaming, Streaming.stop),
}
"""All commands except ``dial``, which has no call yet."""
