"""Decodes the body of a webhook into an event. A field that is missing, null or of a wrong type becomes ``None``.

The kind comes from the callback URL. If ``event_type`` contradicts the kind, the event is an `UnknownEvent`. `webhooks`
calls `parse` and `read`; `voice_log` calls `read` for the lines of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ..events import (
    CallEvent,
    CollectEvent,
    ConferenceEvent,
    ConnectEvent,
    DenoiseEvent,
    DetectEvent,
    Event,
    FaxEvent,
    InboundCall,
    PlayEvent,
    RecordEvent,
    ReferEvent,
    SidecarEvent,
    SpeechEvent,
    StreamEvent,
    SwmlEvent,
    TapEvent,
    TranscribeEvent,
    UnknownEvent,
)
from .fields import Fields, Object, identifier, number, part, text, truth, whole
from .swml_decoding import conference_fields, connect_fields, tail_fields

DEEPEST = 100
"""Levels of nesting that a body may have; the platform uses five. A much deeper object can be parsed, but comparing or
printing it can exceed Python's recursion limit."""

LONGEST_WORD = 200
"""A state or ``event_type`` is cut to this many characters, since it is kept in memory and shown."""


class MalformedBody(ValueError):
    """The body is not a JSON object."""


_END_REASONS = {
    "hangup": "hangup",
    "cancel": "cancel",
    "canceled": "cancel",
    "cancelled": "cancel",
    "busy": "busy",
    "noanswer": "noAnswer",
    "decline": "decline",
    "declined": "decline",
    "error": "error",
    "failed": "error",
    "abandoned": "abandoned",
    "maxduration": "max_duration",
    "notfound": "not_found",
    "timeout": "timeout",
}
_REASON_STATES = ("busy", "no-answer", "canceled", "failed")
"""Final states that are at the same time the end reason."""


def end_reason(spelt: str | None) -> str | None:
    """Return the standard spelling of an end reason; an unknown reason is returned unchanged."""
    if not spelt:
        return None
    return _END_REASONS.get(spelt.lower().replace("_", "").replace("-", ""), spelt)


def _milliseconds(source: Object, key: str) -> float | None:
    value = number(source, key)
    return None if value is None else value / 1000


def _call(p: Object, raw: Object) -> Fields:
    state = text(p, "call_state") or text(p, "status") or ""
    device = part(part(p, "device"), "params")
    return {
        "state": state,
        "direction": text(p, "direction"),
        "end_reason": end_reason(text(p, "end_reason") or (state if state in _REASON_STATES else None)),
        "from_": text(device, "from_number") or text(device, "from") or text(p, "from"),
        "to": text(device, "to_number") or text(device, "to") or text(p, "to"),
        "start_time": _milliseconds(p, "start_time"),
        "answer_time": _milliseconds(p, "answer_time"),
        "end_time": _milliseconds(p, "end_time"),
    }


def _play(p: Object, raw: Object) -> Fields:
    return {"state": text(p, "state") or ""}


def _record(p: Object, raw: Object) -> Fields:
    # The platform's pages disagree on whether the file is described beside `state` or inside `record`.
    inner = part(p, "record")
    return {
        "state": text(p, "state") or "",
        "url": text(p, "url") or text(inner, "url"),
        "duration": number(p, "duration") if p.get("duration") is not None else number(inner, "duration"),
        "size": whole(p, "size") if p.get("size") is not None else whole(inner, "size"),
        "recording_id": text(p, "recording_id"),
    }


def _collect(p: Object, raw: Object) -> Fields:
    result = part(p, "result")
    params = part(result, "params")
    type_ = text(result, "type")
    return {
        "state": text(p, "state") or type_ or "",
        "type": type_,
        "digits": text(params, "digits"),
        "terminator": text(params, "terminator"),
        "text": text(params, "text"),
        "confidence": number(params, "confidence"),
        "final": truth(p, "final"),
    }


def _detect(p: Object, raw: Object) -> Fields:
    detect = part(p, "detect")
    params = part(detect, "params")
    return {
        "state": text(params, "event") or text(p, "state") or "",
        "type": text(detect, "type"),
        "beep": truth(params, "beep") or False,
    }


def _stream(p: Object, raw: Object) -> Fields:
    return {"state": text(p, "state") or "", "url": text(p, "url"), "name": text(p, "name")}


def _tap(p: Object, raw: Object) -> Fields:
    return {"state": text(p, "state") or "", "device": dict(part(p, "device")) or None}


def _transcribe(p: Object, raw: Object) -> Fields:
    # The events of the transcript have no state; an event with a state is about the audio capture before it.
    event_type = text(raw, "event_type") or ""
    done = event_type.removeprefix("calling.transcript.")
    state = done if done in ("completed", "failed") else text(p, "state") or ""
    return {"state": state, "id": text(p, "id"), "text": text(p, "text")}


def _refer(p: Object, raw: Object) -> Fields:
    return {
        "state": text(p, "state") or "",
        "to": text(p, "sip_refer_to"),
        "refer_response_code": text(p, "sip_refer_response_code"),
        "notify_response_code": text(p, "sip_notify_response_code"),
    }


def _fax(p: Object, raw: Object) -> Fields:
    fax = part(p, "fax")
    params = part(fax, "params")
    return {
        "state": text(fax, "type") or text(p, "state") or "",
        "direction": text(params, "direction"),
        "pages": whole(params, "pages"),
        "success": truth(params, "success"),
        "document": text(params, "document"),
        "result_text": text(params, "result_text"),
    }


def _denoise(p: Object, raw: Object) -> Fields:
    return {"state": {True: "on", False: "off", None: ""}[truth(p, "denoised")]}


def _speech(p: Object, raw: Object) -> Fields:
    # The text is beside `type`, or inside `utterance`; a summary can be recognised only by "summary" in a name.
    word = (text(raw, "event_type") or "").rpartition(".")[2]
    utterance = part(p, "utterance")
    summary = next((key for key in p if "summary" in key), None)
    return {
        "state": word or text(p, "state") or ("summary" if summary else ""),
        "text": text(p, "text") or text(utterance, "content") or (text(p, summary) if summary else None),
        "language": text(p, "language"),
        "direction": text(p, "direction") or text(utterance, "role"),
        "confidence": number(p, "confidence"),
        "is_summary": "summary" in word or summary is not None,
    }


def _sidecar(p: Object, raw: Object) -> Fields:
    event = part(raw, "sidecar_event") or raw
    ts = number(event, "ts")
    return {
        "state": text(event, "type") or "",
        "call_id": identifier(part(raw, "call_info"), "call_id") or identifier(part(event, "channel_data"), "call_id"),
        "timestamp": None if ts is None else ts / 1_000_000,
        "text": next((said for key in ("raw", "text", "question") if (said := text(event, key)) is not None), None),
        "ask_id": text(event, "ask_id"),
        "stop_reason": text(event, "stop_reason"),
        "summary": text(event, "summary"),
    }


class Reader(msgspec.Struct, frozen=True):
    """How the payloads of one kind are decoded: *fields* gets the inner object and the whole payload."""

    event: type[Event]
    fields: Callable[[Object, Object], Fields]
    event_types: tuple[str, ...] = ()
    """The values of ``event_type`` that fit the kind; empty: any value, since none is documented."""
    keyed: bool = True
    """The key in the callback URL equals the ``control_id`` of the payloads, as far as they have one."""
    about: str = ""
    """The kind of the operation, if it is not the kind in the callback URL."""
    signed: bool = True
    """The platform may sign the webhook. It never signs the tail of a SWML document: the document itself sends that."""


_FAX = Reader(FaxEvent, _fax, ("calling.call.fax",))
_TRANSCRIPTS = ("calling.transcript.completed", "calling.transcript.failed", "calling.call.transcribe")

LEG = "connect.leg"
"""The kind of the URL for the states of the legs that a connect dials."""

READERS: Mapping[str, Reader] = {
    "call": Reader(CallEvent, _call, ("calling.call.state",), keyed=False),
    "play": Reader(PlayEvent, _play, ("calling.call.play",)),
    "record": Reader(RecordEvent, _record, ("calling.call.record",)),
    "collect": Reader(CollectEvent, _collect, ("calling.call.collect",)),
    "detect": Reader(DetectEvent, _detect, ("calling.call.detect",)),
    "tap": Reader(TapEvent, _tap, ("calling.call.tap",)),
    "stream": Reader(StreamEvent, _stream, ("calling.call.stream",)),
    "transcribe": Reader(TranscribeEvent, _transcribe, _TRANSCRIPTS),
    "refer": Reader(ReferEvent, _refer, ("calling.call.refer",), keyed=False),
    "send_fax": _FAX,
    "receive_fax": _FAX,
    "denoise": Reader(DenoiseEvent, _denoise, ("calling.call.denoise",), keyed=False),
    "live_transcribe": Reader(SpeechEvent, _speech, keyed=False),
    "live_translate": Reader(SpeechEvent, _speech, keyed=False),
    "ai_sidecar": Reader(SidecarEvent, _sidecar, keyed=False),
    "ai_sidecar.summarize": Reader(SpeechEvent, _speech, keyed=False),
    "connect": Reader(ConnectEvent, connect_fields, ("calling.call.connect",), keyed=False),
    LEG: Reader(CallEvent, _call, ("calling.call.state",), keyed=False, about="connect"),
    "connect.tail": Reader(SwmlEvent, tail_fields("connect"), about="connect", signed=False),
    "conference": Reader(ConferenceEvent, conference_fields, ("calling.conference",), keyed=False),
    "conference.tail": Reader(SwmlEvent, tail_fields("conference"), about="conference", signed=False),
    "digits": Reader(SwmlEvent, tail_fields("digits"), signed=False),
    "swml": Reader(SwmlEvent, tail_fields("swml"), signed=False),
}

_decode = msgspec.json.Decoder().decode


def parse(body: bytes | str) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        MalformedBody: The body is not a JSON object, or has more than `DEEPEST` levels.
    """
    try:
        data = body.encode() if isinstance(body, str) else body
        value = _decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise MalformedBody("the body is not JSON") from None
    if not isinstance(value, dict):
        raise MalformedBody("the body is not a JSON object")
    # The cheap count of brackets comes first: a body with fewer brackets cannot be that deep.
    if data.count(b"{") + data.count(b"[") > DEEPEST and _is_too_deep(value):
        raise MalformedBody("the body is nested too deeply")
    return value


def _is_too_deep(value: object) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def read(kind: str, raw: dict[str, Any], body: bytes | None = None) -> Event:
    """Return the event of *kind* that the payload *raw* describes, with or without an envelope.

    Args:
        body: The JSON text of *raw*, kept as the payload of the event; ``None``: *raw* itself is kept.
    """
    reader = READERS[kind]
    event_type = raw.get("event_type")
    params = inner(raw)
    enveloped = params is not raw
    common: Fields = {
        "call_id": identifier(params, "call_id"),
        "control_id": text(params, "control_id"),
        "timestamp": number(raw, "timestamp") if enveloped else None,
        "payload": raw if body is None else body,
    }
    if enveloped and reader.event_types and event_type not in reader.event_types:
        state, name = text(params, "state") or "", str(event_type)
        return UnknownEvent(state=state[:LONGEST_WORD], event_type=name[:LONGEST_WORD], **common)
    common.update(reader.fields(params, raw))
    if len(common["state"]) > LONGEST_WORD:
        common["state"] = common["state"][:LONGEST_WORD]
    return reader.event(**common)


def inner(raw: Object) -> Object:
    """Return ``params`` of an envelope, else *raw*; in a field report, ``params`` was a string of JSON."""
    if not isinstance(raw.get("event_type"), str) or "params" not in raw:
        return raw
    params = raw["params"]
    if isinstance(params, str):
        try:
            return parse(params)
        except MalformedBody:
            return {}
    return params if isinstance(params, dict) else {}


def read_inbound(raw: dict[str, Any]) -> InboundCall | None:
    """Return the announcement of an inbound call in *raw*; ``None`` if *raw* is no announcement."""
    call = part(raw, "call")
    call_id = identifier(call, "call_id")
    if call_id is None:
        return None
    headers = call.get("headers")
    pairs = [item for item in headers if isinstance(item, dict)] if isinstance(headers, list) else []
    return InboundCall(
        call_id=call_id,
        from_=text(call, "from") or text(call, "from_number"),
        to=text(call, "to") or text(call, "to_number"),
        type=text(call, "type"),
        headers={name: text(item, "value") or "" for item in pairs if (name := text(item, "name"))},
        variables={**part(raw, "envs"), **part(raw, "vars")},
        raw=raw,
    )
