"""Every example of the vendor's schema is accepted: by the public calls, by ``execute``, and by the simulator.

``samples/vendor_examples.json`` has the examples of whole requests, and requests made of the examples of properties.
None of them is an exception: the contract forbids no example.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from swcalls import (
    TTS,
    Audio,
    Call,
    Client,
    DetectDigit,
    DetectFax,
    DetectMachine,
    Digits,
    Reset,
    Ringtone,
    RtpDevice,
    SidecarParams,
    SidecarPermissions,
    Silence,
    Speech,
    WsDevice,
)
from swcalls.actions import HANDLES
from swcalls.testing import Callee, Simulator
from swcalls.testing.contract import check_dial, read_params
from swcalls.testing.dispatch import ROWS, Dial
from swcalls.testing.operations import fax

Params = dict[str, Any]

SAMPLE = msgspec.json.decode((Path(__file__).parent / "samples/vendor_examples.json").read_bytes())
EXAMPLES: dict[str, list[Params]] = {}
for _body in (*SAMPLE["requests"], *SAMPLE["of_properties"]):
    EXAMPLES.setdefault(_body["command"], []).append(_body["params"])

MEDIA = {"audio": Audio, "tts": TTS, "silence": Silence, "ringtone": Ringtone}
DETECTORS = {"machine": DetectMachine, "fax": DetectFax, "digit": DetectDigit}
DEVICES = {"rtp": RtpDevice, "ws": WsDevice}


def play(call: Call, params: Params) -> Awaitable[Any]:
    media = [MEDIA[item["type"]](**item["params"]) for item in params.pop("play")]
    return call.play(*media, **params)


def record(call: Call, params: Params) -> Awaitable[Any]:
    return call.record(**params.pop("record")["audio"], **params)


def collect(call: Call, params: Params) -> Awaitable[Any]:
    for name, kind in (("digits", Digits), ("speech", Speech)):
        if name in params:
            params[name] = kind(**params[name])
    return call.collect(**params)


def detect(call: Call, params: Params) -> Awaitable[Any]:
    detector = params.pop("detect")
    return call.detect(DETECTORS[detector["type"]](**detector.get("params", {})), **params)


def tap(call: Call, params: Params) -> Awaitable[Any]:
    device = params.pop("device")
    return call.tap(DEVICES[device["type"]](**device["params"]), **params.pop("tap")["params"], **params)


def refer(call: Call, params: Params) -> Awaitable[Any]:
    target = params.pop("device")["params"]
    return call.refer(target.pop("to"), from_=target.pop("from", None), **target, **params)


def live(kind: str) -> Callable[[Call, Params], Awaitable[Any]]:
    async def send(call: Call, params: Params) -> None:
        action = params["action"]
        handle: Any = call.action(kind, "running")
        if action == "stop":
            await handle.stop()
        elif "start" in action:
            start = action["start"]
            await getattr(call, kind)(status_url=start.pop("webhook", None), **start)
        elif "summarize" in action:
            await handle.summarize(**action["summarize"])
        else:
            await handle.inject(**action["inject"])

    return send


def sidecar(call: Call, params: Params) -> Awaitable[Any]:
    if "action" in params:
        summary = params["action"]["summarize"]
        return call.sidecar_summary(
            params["lang"], model=params["model"], prompt=summary["prompt"], status_url=summary["webhook"]
        )
    for name, kind in (("params", SidecarParams), ("permissions", SidecarPermissions)):
        if name in params:
            params[name] = kind(**params[name])
    return call.sidecar(status_url=params.pop("url"), swaig=params.pop("SWAIG", None), **params)


def ai_message(call: Call, params: Params) -> Awaitable[Any]:
    if "reset" in params:
        params["reset"] = Reset(**params["reset"])
    return call.ai_message(**params)


VERBS: dict[str, Callable[[Call, Params], Awaitable[Any]]] = {
    "update": lambda call, p: call.update(**{name: value for name, value in p.items() if name != "id"}),
    "calling.ai_hold": lambda call, p: call.ai_hold(timeout=int(p.pop("timeout")), **p),
    "calling.ai_message": ai_message,
    "calling.ai.stop": lambda call, p: call.ai_stop(**p),
    "calling.ai_sidecar": sidecar,
    "calling.collect": collect,
    "calling.detect": detect,
    "calling.live_transcribe": live("live_transcribe"),
    "calling.live_translate": live("live_translate"),
    "calling.play": play,
    "calling.record": record,
    "calling.refer": refer,
    "calling.tap": tap,
}
"""How a public call says what an example says; a command that is not here is the method of its own name."""


async def by_verb(space: Simulator, call_id: str, command: str, params: Params) -> None:
    async with Client("project", "token", space.url, public_url=NOWHERE) as client:
        call = client.call(call_id)
        family, _, control = command.removeprefix("calling.").rpartition(".")
        if command == "dial":
            await client.dial(from_=params.pop("from"), **params)
        elif command in VERBS:
            await VERBS[command](call, params)
        elif family in HANDLES and control:
            handle = call.action(family, params.pop("control_id", "running"))
            await getattr(handle, control)(*params.values())
        else:
            await getattr(call, command.removeprefix("calling.").replace(".", "_"))(**params)


async def by_execute(space: Simulator, call_id: str, command: str, params: Params) -> None:
    async with Client("project", "token", space.url) as client:
        await client.execute(command, call_id=None if command in WITHOUT_ID else call_id, params=params)


async def by_http(space: Simulator, call_id: str, command: str, params: Params) -> None:
    body = {"command": command, "params": params} | ({} if command in WITHOUT_ID else {"id": call_id})
    credentials = "Basic " + base64.b64encode(b"project:token").decode()
    async with (
        aiohttp.ClientSession(headers={"Authorization": credentials}) as http,
        http.post(f"{space.url}/api/calling/calls", json=body) as answer,
    ):
        await answer.read()


Way = Callable[[Simulator, str, str, Params], Awaitable[None]]

NOT_SAID_BY_A_VERB = {"calling.ai_sidecar": ("url",), "calling.live_translate": ("status_url",)}
"""Beside an ``action``: a one-off summary has one URL, and what controls a running translation has none."""
WITHOUT_ID = ("dial", "update")
NOWHERE = "http://127.0.0.1:9"
"""Nobody listens there; the host of the examples' callbacks is on the internet."""


def prepared(value: Any, call_id: str, name: str = "") -> Any:
    """Point an example at a call that exists, and its callbacks at nobody."""
    if isinstance(value, dict):
        return {key: prepared(inner, call_id, key) for key, inner in value.items()}
    if name in ("status_url", "webhook"):
        return value.replace("https://example.com", NOWHERE)
    return call_id if name == "id" and len(value) == 36 else value


def holds(sent: Any, example: Any) -> bool:
    """Say whether *sent* has all that *example* has."""
    if isinstance(example, dict):
        return isinstance(sent, dict) and all(name in sent and holds(sent[name], example[name]) for name in example)
    if isinstance(example, list):
        return len(sent) == len(example) and all(map(holds, sent, example))
    return bool(sent == example)


async def a_call(client: Client, command: str, params: Params) -> Call:
    """A call on which *command* makes sense: it is in the right state, and what the command controls is running."""
    answers = params.get("status") != "canceled"
    call = await client.dial(to="sip:far@example.com" if answers else "sip:away@example.com", from_="+12069708643")
    if answers:
        await call.answered(timeout=10)
    family = command.rpartition(".")[0]
    if isinstance(action := params.get("action"), str) or (action and "start" not in action and "lang" not in params):
        family = command
    if family in EXAMPLES:
        await client.execute(family, call_id=call.id, params=prepared(EXAMPLES[family][0], call.id))
    return call


@pytest.mark.parametrize("command", EXAMPLES)
def test_the_simulator_can_read_each_example_as_it_is(command: str) -> None:
    row = ROWS.get(command)
    for params in EXAMPLES[command]:
        read_params(params, *((Dial, check_dial) if row is None else (row.params, row.check)))


@pytest.mark.parametrize("way", [by_verb, by_execute, by_http])
@pytest.mark.parametrize("command", EXAMPLES)
async def test_each_example_is_accepted(nothing_is_left_running: None, command: str, way: Way) -> None:
    async with (
        Simulator(callee=Callee(rings_for=0)) as space,
        Client("project", "token", space.url) as client,
        client.receiver.serve(),
    ):
        space.callees["sip:away@example.com"] = Callee(rings_for=0, answers=False)
        for example in EXAMPLES[command]:
            call = await a_call(client, command, example)
            if "fax" in command:
                fax(space.calls[call.id], example["control_id"], NOWHERE, receive="receive" in command)
            params = prepared(example, call.id)
            await way(space, call.id, command, copy.deepcopy(params))
            assert {received.status for received in space.commands} == {200}
            came = [received.params for received in space.commands if received.command == command]
            left_out = NOT_SAID_BY_A_VERB.get(command, ()) if way is by_verb and "action" in params else ()
            assert holds(came[-1], {name: value for name, value in params.items() if name not in left_out})


def test_the_examples_are_of_all_commands() -> None:
    assert len(SAMPLE["requests"]) == len(EXAMPLES) == 42
    assert EXAMPLES.keys() == ROWS.keys() | {"dial"}
