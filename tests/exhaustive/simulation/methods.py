"""The table: every public method of every class, and what it comes to in each state.

A row is how a method is called, and what is expected of it by state. What is expected is what ``api.md`` and the
docstrings say; where they leave it open, all that does not wait and is one of our errors is right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from swcalls import (
    TTS,
    ActionExpired,
    ActionFailed,
    AudioNotStarted,
    CallEnded,
    CallNotFound,
    ClientClosed,
    CommandError,
    CommandNotSent,
    ConfigurationError,
    DetectMachine,
    Digits,
    InvalidParams,
    Speech,
    SpeechResult,
    SwcallsError,
    WsDevice,
)

from .cells import (
    Act,
    Expected,
    Outcome,
    Start,
    either,
    raises,
    refused,
    returns,
    sends,
    silent,
    times_out,
    waits,
)
from .flows import MUSIC


@dataclass(frozen=True)
class Row:
    """How a method is called, and what is expected by state; ``""`` is any other state."""

    act: Act
    expected: Mapping[str, Expected]

    def expects(self, state: str) -> Expected:
        """Return what is expected in *state*."""
        return self.expected.get(state) or self.expected[""]


Table = dict[str, list[Row]]
"""By the method's name."""


def row(act: Act, *tables: Mapping[str, Expected], **expected: Expected) -> list[Row]:
    """Make a row; later *tables* count more. In names of states, ``_`` stands for a space."""
    merged: dict[str, Expected] = {}
    for table in tables:
        merged |= table
    return [Row(act, merged | {state.replace("_", " ").strip(): what for state, what in expected.items()})]


fine: Expected = either(returns, raises(SwcallsError))
"""Whatever it is, it ends, and well or with one of our errors."""
NOT_OPEN = refused(RuntimeError)
CLOSED = refused(ClientClosed)
CLOSING = refused(SwcallsError)
OVER = refused(CallEnded)
NOWHERE = raises(CallNotFound)
NAMELESS = refused(CommandNotSent)

TO_A_CALL: Mapping[str, Expected] = {
    "client unopened": NOT_OPEN,
    "client closing": CLOSING,
    "client closed": CLOSED,
    "unknown": NOWHERE,
    "dialled": sends,
    "up": sends,
    "ended": OVER,
    "lost": OVER,
    "unconfirmed": NAMELESS,
}
"""What becomes of a command to a call."""
UNTIL_THE_ANSWER: Mapping[str, Expected] = {"dialled": either(returns, times_out)}
"""A document is put on a call that has been answered; until then, it waits."""
NOT_BEFORE_THE_ANSWER: Mapping[str, Expected] = {"dialled": raises(InvalidParams)}


def starts(make: Act, *tables: Mapping[str, Expected], finished: Expected | None = None) -> list[Row]:
    """Make the rows of a method that starts an action: awaited, finished, in a block, and as a task."""

    async def block(call: Any) -> None:
        async with make(call):
            pass

    async def task(call: Any) -> Any:
        return await asyncio.create_task(make(call))

    ends = finished or either(times_out, sends)
    as_finished = {"dialled": ends, "up": ends}
    return [
        *row(make, TO_A_CALL, *tables),
        *row(block, TO_A_CALL, *tables),
        *row(task, TO_A_CALL, *tables),
        *row(lambda call: make(call).finished(timeout=5), TO_A_CALL, as_finished, *tables),
    ]


def steps(make: Act, *tables: Mapping[str, Expected], **expected: Expected) -> list[Row]:
    """Make the rows of a method that takes several steps and has a result: awaited, finished in time, and as a task."""

    async def task(call: Any) -> Any:
        return await asyncio.create_task(make(call))

    return [
        *row(make, TO_A_CALL, *tables, **expected),
        *row(task, TO_A_CALL, *tables, **expected),
        *row(lambda call: make(call).finished(timeout=100), TO_A_CALL, *tables, **expected),
        *row(
            lambda call: make(call).finished(timeout=0.01),
            TO_A_CALL,
            dict.fromkeys(("dialled", "up", "unknown"), times_out),
        ),
    ]


async def drain(target: Any) -> list[Any]:
    """Iterate to the end."""
    return [event async for event in target]


async def enter(start: Any) -> Any:
    """Enter and leave a block."""
    async with start as target:
        return target


async def handle(call: object) -> None:
    """Handle a call."""


def print_nothing(action: object) -> None:
    """Be called when an action is done."""


def twice(client: Any) -> None:
    """Set two handlers."""
    client.receiver.on_call(handle)
    client.receiver.on_call(enter)


def spoken(outcome: Outcome) -> bool:
    """Expect what a live transcription comes to: no event of its own tells its end."""
    return silent()(outcome) and isinstance(outcome.value, SpeechResult)


def is_outcome(outcome: Outcome) -> bool:
    """Expect an ``Outcome``."""
    return returns(outcome) and hasattr(outcome.value, "settled_by")


BOTH = ["remote-caller", "local-caller"]

CALL: Table = {
    "play": starts(lambda call: call.play(MUSIC, loop=0)),
    "say": starts(lambda call: call.say("Hello.")),
    "record": starts(lambda call: call.record()),
    "collect": starts(lambda call: call.collect(digits=Digits(max=1))),
    "prompt": starts(lambda call: call.prompt(TTS("Well?"), digits=Digits(max=1), speech=Speech())),
    "ask": steps(
        lambda call: call.ask(TTS("Well?"), digits=Digits(max=1), speech=Speech(), initial_timeout=2, attempts=2),
        dialled=either(returns, raises(SwcallsError)),
    ),
    "detect": starts(lambda call: call.detect(DetectMachine())),
    "wait_for_beep": steps(lambda call: call.wait_for_beep(timeout=10)),
    "tap": starts(lambda call: call.tap(WsDevice("wss://ours.example/tap"))),
    "stream": starts(lambda call: call.stream("wss://ours.example/stream")),
    "listen": row(
        lambda call: enter(call.listen(start_timeout=5)),
        TO_A_CALL,
        # There is nothing to hear before the answer.
        dialled=raises(AudioNotStarted),
    ),
    "transcribe": starts(lambda call: call.transcribe()),
    "refer": starts(lambda call: call.refer("sip:other@example.com")),
    "run_swml": starts(lambda call: call.run_swml([{"sleep": 600_000}]), UNTIL_THE_ANSWER),
    "connect": starts(lambda call: call.connect("+15550100001"), UNTIL_THE_ANSWER),
    "send_digits": starts(lambda call: call.send_digits("1w2"), UNTIL_THE_ANSWER),
    "conference": starts(lambda call: call.conference("room"), UNTIL_THE_ANSWER),
    "live_transcribe": starts(lambda call: call.live_transcribe("en-US", BOTH)),
    "live_translate": starts(lambda call: call.live_translate("en-US", "de-DE", BOTH)),
    "sidecar": starts(lambda call: call.sidecar("en-US"), NOT_BEFORE_THE_ANSWER),
    "sidecar_summary": starts(lambda call: call.sidecar_summary("en-US"), NOT_BEFORE_THE_ANSWER),
    "answer": row(
        lambda call: call.answer(), TO_A_CALL, dialled=NAMELESS, unknown=NAMELESS, up=silent(None), unconfirmed=NAMELESS
    ),
    "reject": row(lambda call: call.reject("busy"), TO_A_CALL),
    "end": row(lambda call: call.end(), TO_A_CALL, ended=silent(), lost=silent()),
    "update": row(lambda call: call.update(url="https://ours.example/swml"), TO_A_CALL, dialled=raises(InvalidParams)),
    "cancel": row(lambda call: call.cancel(), TO_A_CALL, up=raises(InvalidParams)),
    "complete": row(lambda call: call.complete(), TO_A_CALL, dialled=raises(InvalidParams)),
    "disconnect": row(lambda call: call.disconnect(), TO_A_CALL),
    "transfer": row(lambda call: call.transfer("+15550198765"), TO_A_CALL),
    "user_event": row(lambda call: call.user_event({"a": 1}), TO_A_CALL),
    "denoise": row(lambda call: call.denoise(), TO_A_CALL),
    "denoise_stop": row(lambda call: call.denoise_stop(), TO_A_CALL),
    "ai_hold": row(lambda call: call.ai_hold(), TO_A_CALL),
    "ai_unhold": row(lambda call: call.ai_unhold(), TO_A_CALL),
    "ai_message": row(lambda call: call.ai_message(role="user", message_text="Hello."), TO_A_CALL),
    "ai_stop": row(lambda call: call.ai_stop(), TO_A_CALL),
    # There is no fax.
    "send_fax_stop": row(lambda call: call.send_fax_stop("fax"), TO_A_CALL, dialled=NOWHERE, up=NOWHERE),
    "receive_fax_stop": row(lambda call: call.receive_fax_stop("fax"), TO_A_CALL, dialled=NOWHERE, up=NOWHERE),
    "answered": [
        *row(
            lambda call: call.answered(),
            client_unopened=NOT_OPEN,
            client_closing=either(silent(), raises(ClientClosed)),
            client_closed=either(CLOSED, silent()),
            unknown=either(waits, raises(CallEnded)),
            dialled=returns,
            up=silent(),
            ended=silent(),
            lost=silent(),
            unconfirmed=raises(CallEnded),
        ),
        *row(
            lambda call: call.answered(timeout=5),
            client_unopened=NOT_OPEN,
            client_closing=either(silent(), raises(ClientClosed)),
            client_closed=either(CLOSED, silent()),
            unknown=times_out,
            dialled=times_out,
            up=silent(),
            ended=silent(),
            lost=silent(),
            unconfirmed=times_out,
        ),
    ],
    "ended": [
        *row(
            lambda call: call.ended(),
            client_unopened=NOT_OPEN,
            client_closing=raises(ClientClosed),
            client_closed=CLOSED,
            unknown=either(waits, returns),
            dialled=waits,
            up=waits,
            ended=silent("hangup"),
            lost=silent(),
            unconfirmed=returns,
        ),
        *row(
            lambda call: call.ended(timeout=5),
            client_unopened=NOT_OPEN,
            client_closing=either(times_out, raises(ClientClosed)),
            client_closed=CLOSED,
            unknown=times_out,
            dialled=times_out,
            up=times_out,
            ended=silent("hangup"),
            lost=silent(),
            unconfirmed=times_out,
        ),
    ],
    "events": row(
        lambda call: drain(call.events()),
        client_unopened=NOT_OPEN,
        client_closing=either(returns, raises(ClientClosed)),
        client_closed=either(CLOSED, silent()),
        unknown=either(waits, returns),
        dialled=waits,
        up=waits,
        ended=silent(),
        lost=returns,
        unconfirmed=returns,
    ),
    "action": row(
        # To attach is no wait and no command; to wait for what was attached is.
        lambda call: call.action("play", "theirs").finished(),
        client_unopened=NOT_OPEN,
        client_closing=raises(ClientClosed),
        client_closed=CLOSED,
        unknown=either(waits, raises(SwcallsError)),
        dialled=waits,
        up=waits,
        ended=raises(CallEnded),
        lost=raises(CallEnded),
        unconfirmed=raises(CallEnded),
    ),
}
"""Rows of ``Call``, but for its attributes."""
CALL_ATTRIBUTES = (
    "from_",
    "to",
    "headers",
    "variables",
    "timeline",
    "state",
    "id",
    "leg",
    "inbound",
    "has_ended",
    "end_reason",
    "__repr__",
)
"""They can be read in any state."""

DONE = {state: silent(True) for state in ("expired", "settled", "withdrawn", "call ended", "client closed")}
UNTIL_CLOSED = either(returns, raises(ClientClosed))
ENDS: Mapping[str, Expected] = {
    "expired": refused(ActionExpired),
    "withdrawn": refused(InvalidParams),
    "unconfirmed": either(returns, raises(SwcallsError)),
    "call ended": either(refused(CallEnded), spoken),
    "client closed": CLOSED,
    "client closing": UNTIL_CLOSED,
    "client unopened": NOT_OPEN,
    "settled": silent(),
    "stopping": either(returns, raises(SwcallsError)),
}
"""What whoever waits for the end gets."""
TELLS = dict.fromkeys(ENDS, is_outcome) | {"client unopened": NOT_OPEN}
NOT_DONE = refused(asyncio.InvalidStateError)

ACTION: Table = {
    "finished": [
        *row(lambda action: action.finished(), ENDS, pending=either(returns, waits)),
        *row(
            lambda action: action.finished(timeout=5),
            ENDS,
            pending=either(returns, times_out),
            stopping=either(returns, times_out, raises(SwcallsError)),
            unconfirmed=either(returns, times_out, raises(SwcallsError)),
            client_closing=either(returns, times_out, raises(ClientClosed)),
        ),
        *row(lambda action: action, ENDS, pending=either(returns, waits)),
    ],
    "outcome": row(lambda action: action.outcome(), TELLS, pending=either(is_outcome, waits)),
    "reached": row(
        lambda action: action.reached("there"),
        _=either(raises(ActionFailed), raises(CommandError)),
        pending=either(raises(ActionFailed), waits),
        client_closed=raises(ActionFailed, ClientClosed),
        client_closing=raises(ActionFailed, ClientClosed),
        client_unopened=NOT_OPEN,
    ),
    "done": row(lambda action: action.done(), DONE, _=silent(False)),
    "result": row(
        lambda action: action.result(),
        ENDS,
        pending=NOT_DONE,
        stopping=NOT_DONE,
        unconfirmed=NOT_DONE,
        client_closing=NOT_DONE,
        client_unopened=NOT_DONE,
    ),
    "exception": row(
        lambda action: action.exception(), {state: silent() for state in DONE}, _=NOT_DONE, settled=silent(None)
    ),
    "add_done_callback": row(lambda action: action.add_done_callback(print_nothing), _=silent(None)),
    "remove_done_callback": row(lambda action: action.remove_done_callback(print_nothing), _=silent(0)),
    "__aiter__": row(
        drain,
        _=either(returns, raises(SwcallsError)),
        pending=either(returns, waits),
        client_unopened=NOT_OPEN,
    ),
}
"""Rows of what every action has."""
ACTION_ATTRIBUTES = ("control_id", "call", "kind", "state", "last_event", "dropped", "variables", "__repr__")

CONTROLLED: Mapping[str, Expected] = {
    "": fine,
    "expired": either(sends, raises(CommandError)),
    "call ended": OVER,
    "client closed": CLOSED,
    "client closing": CLOSING,
    "client unopened": NOT_OPEN,
}
"""What becomes of a command that controls an action."""


def control(act: Act, **expected: Expected) -> list[Row]:
    """Make the row of a command that controls an action."""
    return row(act, CONTROLLED, **expected)


STOP = row(
    lambda action: action.stop(),
    pending=returns,
    stopping=returns,
    expired=sends,
    settled=silent(None),
    withdrawn=silent(None),
    unconfirmed=returns,
    call_ended=silent(None),
    client_closed=either(CLOSED, silent(None)),
    client_closing=CLOSING,
    client_unopened=NOT_OPEN,
)

CONTROLS: Table = {
    "stop": STOP,
    "pause": control(lambda action: action.pause()),
    "resume": control(lambda action: action.resume()),
    "volume": control(lambda action: action.volume(3)),
    "start_input_timers": control(lambda action: action.start_input_timers()),
    "summarize": control(lambda action: action.summarize()),
    "inject": control(lambda action: action.inject("Hello.", "remote-caller")),
    "poke": control(lambda action: action.poke("Look!")),
    "ask": control(lambda action: action.ask("Who?")),
    "status": control(lambda action: action.status()),
    "connected": row(
        lambda action: action.connected(),
        ENDS,
        pending=either(returns, waits, raises(ActionFailed)),
        settled=either(returns, raises(ActionFailed)),
    ),
}
"""Rows of what some actions have."""
SENDS_WHEN_EXPIRED = ("play", "record", "collect", "tap", "stream", "live_transcribe", "live_translate", "ai_sidecar")

KINDS: dict[str, Start | None] = {
    "play": lambda call, more: call.play(MUSIC, loop=0, **more),
    "record": lambda call, more: call.record(**more),
    "collect": lambda call, more: call.collect(digits=Digits(max=1), initial_timeout=600, **more),
    "prompt": lambda call, more: call.prompt(MUSIC, loop=0, digits=Digits(max=1), **more),
    "detect": lambda call, more: call.detect(DetectMachine(initial_timeout=600), timeout=600, **more),
    "tap": lambda call, more: call.tap(WsDevice("wss://ours.example/tap"), **more),
    "stream": lambda call, more: call.stream("wss://ours.example/stream", **more),
    "transcribe": lambda call, more: call.transcribe(**more),
    "refer": lambda call, more: call.refer("sip:other@example.com", **more),
    "swml": lambda call, more: call.run_swml([{"sleep": 600_000}], **more),
    "connect": lambda call, more: call.connect("+15550100001", **more),
    "digits": lambda call, more: call.send_digits("1w2", **more),
    "conference": lambda call, more: call.conference("room", **more),
    "live_transcribe": lambda call, more: call.live_transcribe("en-US", BOTH, **more),
    "live_translate": lambda call, more: call.live_translate("en-US", "de-DE", BOTH, **more),
    "ai_sidecar": lambda call, more: call.sidecar("en-US", **more),
    "ai_sidecar.summarize": lambda call, more: call.sidecar_summary("en-US", **more),
    "send_fax": None,
    "receive_fax": None,
}
"""How an action of each kind is started."""

CLIENT: Table = {
    "open": row(lambda client: client.open(), unopened=returns, open=returns, _=refused(RuntimeError, ClientClosed)),
    "close": row(lambda client: client.close(), _=returns),
    "dial": [
        *row(
            lambda client: client.dial(to="+15550198765", from_="+12069708643"),
            unopened=NOT_OPEN,
            open=sends,
            closing=CLOSING,
            closed=CLOSED,
        ),
        *row(
            lambda client: enter(client.dial(to="+15550198765", from_="+12069708643", max_calls=1)),
            unopened=NOT_OPEN,
            open=sends,
            closing=CLOSING,
            closed=CLOSED,
        ),
    ],
    "execute": row(
        lambda client: client.execute("calling.end", call_id="nobody", params={}),
        unopened=NOT_OPEN,
        open=NOWHERE,
        closing=CLOSING,
        closed=CLOSED,
    ),
    "call": row(lambda client: client.call("somebody"), _=silent()),
    "accept": row(lambda client: client.accept(path="/swcalls/x", headers={}, body=b""), _=returns),
    "recover": row(
        lambda client: drain(client.recover()),
        unopened=either(NOT_OPEN, refused(ConfigurationError)),
        open=refused(ConfigurationError),
        closing=refused(SwcallsError),
        closed=either(CLOSED, refused(ConfigurationError)),
    ),
    "from_env": row(lambda client: type(client).from_env(project="p", token="t", space="s"), _=silent()),
    "__aenter__": row(
        lambda client: client.__aenter__(), unopened=returns, open=returns, _=refused(RuntimeError, ClientClosed)
    ),
}
CLIENT_ATTRIBUTES = ("actions", "stats", "receiver", "__repr__")


RECEIVER: Table = {
    "on_call": [
        *row(lambda client: client.receiver.on_call(handle), _=fine, unopened=silent(handle), open=silent(handle)),
        *row(
            lambda client: client.receiver.on_call(handle, to="+15550100001"),
            _=fine,
            unopened=silent(handle),
            open=silent(handle),
        ),
        # A second handler, and one that is no coroutine function, is refused at once.
        *row(twice, _=refused(SwcallsError, ValueError, TypeError, RuntimeError)),
        *row(lambda client: client.receiver.on_call(print_nothing), _=refused(TypeError, ValueError, SwcallsError)),
    ],
    "routes": row(lambda client: client.receiver.routes(), _=silent()),
    "serve": row(lambda client: client.receiver.serve(), _=silent()),
    "record": row(lambda client: client.receiver.record("/dev/null").close(), _=silent()),
    "inbound_url": row(lambda client: client.receiver.inbound_url, _=silent()),
}
