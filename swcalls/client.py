"""The client: it checks the settings, dials calls, and offers the receiver and the counters."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from msgspec import Struct

from ._core.limits import Limits, check_number
from ._core.log_queries import Reconcile
from ._core.retries import Retry
from ._core.webhooks import Reply
from ._engine.call_logging import log_address
from ._engine.engine import Engine
from .actions import Action, ActionsView, check_text
from .backplane import Backplane
from .call import Call, CallStart
from .commands import PARKED, STATUS_EVENTS, Codec, Dial, StatusEvent, check_document, listed, mapped, refuse_none
from .config import audio_base_url, base_url, check_settings, check_webhook, from_environment, identity, space_url
from .errors import ConfigurationError

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from .receiver import WebhookReceiver


class Stats(Struct, frozen=True, kw_only=True):
    """Counters of a client, at one moment. They start at 0 and only grow, except *pending* and *early*."""

    pending: int
    """Actions that have not settled."""
    sent: int
    """Requests posted, retries included."""
    retried: int
    """Retries."""
    settled: Mapping[str, int]
    """Actions that have settled, by ``settled_by``."""
    log_questions: int
    """How often the voice log was read for a call."""
    webhooks: Mapping[str, int]
    """Webhooks by verdict: applied, duplicate, late, early, unknown, malformed, forged, foreign, oversized, …"""
    early: int
    """Events kept now for actions that are not registered yet."""
    early_dropped: int
    """Early events that were dropped, for their number, size or age."""
    set_aside: int
    """Entries of the backplane that could not be read: damaged, or of a newer version of swcalls."""


class Client:
    """Drives calls over the SignalWire Calling REST API, and delivers their webhooks to the actions.

    Use it as an async context manager, or call ``open()`` and ``close()``. It may be made where no event loop runs.

    ::

        async with Client("project", "token", "example") as client, client.receiver.serve(port=8080):
            async with client.dial(to="+15550198765", from_="+12069708643") as call:
                await call.answered(timeout=30)

    Args:
        project: The project's id.
        token: An API token with the Voice scope.
        space: ``"example"``, ``"example.signalwire.com"``, or a URL with a scheme.
        public_url: Where the platform reaches the receiver; ``receiver.serve()`` sets it if it is not given.
        audio_url: Where the platform reaches this process for the audio of ``Call.listen``: a ``wss://`` URL. It is
            necessary if *public_url* may lead to another process.
        signing_key: The project's signing key, or several during a rotation. A signature that is present must be right.
        require_signature: Also refuse webhooks without a signature.
        path: Where the receiver's routes are mounted, below *public_url*.
        timeout: Seconds for one request (> 0).
        retry: Limits on retries; only a command that was certainly not processed is sent again.
        max_connections: How many requests are sent at the same time (>= 1); further ones wait in order.
        dial_rate: Dials a second (> 0); the platform itself starts one a second, and queues the rest.
        command_rate: Commands a second (> 0), dials included; the platform's limit is 1,380 an account.
        session: An ``aiohttp.ClientSession`` to use; the client does not close it.
        limits: Bounds on memory and on waiting.
        backplane: Connects the processes of a project (``swcalls.backplane``); the client opens and closes it.
        reconcile: When the voice log replaces lost webhooks; ``None``: never.

    Raises:
        ConfigurationError: A setting is wrong; the message names it.
    """

    def __init__(
        self,
        project: str,
        token: str,
        space: str,
        *,
        public_url: str | None = None,
        audio_url: str | None = None,
        signing_key: str | Sequence[str] | None = None,
        require_signature: bool = False,
        path: str = "/swcalls",
        timeout: float = 30.0,
        retry: Retry = Retry(),
        max_connections: int = 100,
        dial_rate: float | None = None,
        command_rate: float | None = None,
        session: ClientSession | None = None,
        limits: Limits = Limits(),
        reconcile: Reconcile | None = Reconcile(),
        backplane: Backplane | None = None,
    ) -> None:
        # Imported here, since aiohttp is slow to import, and a program without a client does not need it.
        from ._engine.transport import Transport

        who = identity(project, token, path, signing_key, require_signature=require_signature)
        check_settings(
            timeout=timeout,
            max_connections=max_connections,
            rates={"dial_rate": dial_rate, "command_rate": command_rate},
            session=session,
            kinds={"retry": (retry, Retry), "limits": (limits, Limits)},
            optional={"reconcile": (reconcile, Reconcile), "backplane": (backplane, Backplane)},
        )
        self._space = space_url(space)
        transport = Transport(
            project,
            token,
            self._space,
            timeout=timeout,
            retry=retry,
            max_connections=max_connections,
            dial_rate=dial_rate,
            command_rate=command_rate,
            session=session,
        )
        reached_at = None if public_url is None else str(base_url("public_url", public_url)).rstrip("/")
        heard_at = None if audio_url is None else audio_base_url(audio_url)
        self._engine = Engine(who, reached_at, transport, limits, reconcile, backplane, Call, heard_at)
        self._receiver: WebhookReceiver | None = None

    @classmethod
    def from_env(cls, **overrides: Any) -> Self:
        """Return a client with settings of the environment; *overrides*, parameters of ``Client``, take precedence.

        ``SIGNALWIRE_PROJECT_ID``, ``SIGNALWIRE_API_TOKEN``, ``SIGNALWIRE_SPACE``; and, if set,
        ``SIGNALWIRE_SIGNING_KEY``, ``SWCALLS_PUBLIC_URL``.

        Raises:
            ConfigurationError: A required variable is not set; the message names it.
        """
        return cls(**from_environment(overrides))

    def __repr__(self) -> str:
        return f"<Client {self._space}>"

    async def open(self) -> None:
        """Open the client; ``async with`` does it."""
        await self._engine.lifetime.open()

    async def close(self) -> None:
        """Close the client: handlers get ``Limits.drain`` seconds, then pending actions settle with ``ClientClosed``.

        A second call does nothing.
        """
        await self._engine.lifetime.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def actions(self) -> Mapping[str, Action[Any]]:
        """The pending actions, by ``control_id``; a read-only view."""
        return ActionsView(self._engine.registry.actions)

    @property
    def receiver(self) -> WebhookReceiver:
        """The webhook receiver: mount its ``routes()``, or ``serve()`` it."""
        if self._receiver is None:
            # Imported here, since a client whose webhooks come through `accept` does not need aiohttp's server.
            from .receiver import WebhookReceiver

            self._receiver = WebhookReceiver._of(self._engine)
        return self._receiver

    @property
    def stats(self) -> Stats:
        """The counters, as they are now."""
        registry, transport = self._engine.registry, self._engine.transport
        registry.early.trim(time.monotonic())
        return Stats(
            pending=len(registry.actions),
            sent=transport.sent,
            retried=transport.retried,
            settled={str(by): count for by, count in registry.settler.settled_by.items()},
            log_questions=self._engine.log_checker.queried,
            webhooks={str(verdict): count for verdict, count in self._engine.ingress.verdicts.items()},
            early=len(registry.early),
            early_dropped=registry.early.dropped,
            set_aside=0 if self._engine.member is None else getattr(self._engine.member.backplane, "set_aside", 0),
        )

    def dial(
        self,
        *,
        from_: str,
        to: str | None = None,
        url: str | None = None,
        swml: dict[str, Any] | None = None,
        to_script: str | dict[str, Any] | None = None,
        caller_id: str | None = None,
        fallback_url: str | None = None,
        status_url: str | None = None,
        status_events: Sequence[StatusEvent] = STATUS_EVENTS,
        url_method: Literal["GET", "POST"] | None = None,
        username: str | None = None,
        password: str | None = None,
        codecs: str | Sequence[Codec] | None = None,
        timeout: int | None = None,
        max_price_per_minute: float | None = None,
        send_digits: str | None = None,
        region: str | Sequence[str] | None = None,
        custom_variables: Mapping[str, str] | None = None,
        max_calls: int | None = None,
    ) -> CallStart:
        """Dial a call: ``await`` the result for the ``Call``, or use ``async with`` to hang up when the block ends.

        Without *url* and *swml*, the call is parked when it is answered: it stays up, so that commands can drive it.
        Wire: ``dial``.

        A thousand reminders, twenty calls at once::

            async def remind(number: str) -> None:
                async with client.dial(to=number, from_="+12069708643", max_calls=20) as call:
                    ...

            async with asyncio.TaskGroup() as group:
                for number in numbers:
                    group.create_task(remind(number))

        Args:
            from_: The caller's number (E.164); for SIP, a SIP URI or a caller-id token.
            to: E.164, ``sip:``, ``sips:``, ``verto:``, ``client:`` or a fabric address (``/public/name``); required
                without *to_script*.
            url: The URL of a SWML document; or *swml*, the document itself. Not both.
            status_events: Which states are posted; the platform's own default is only the end.
            username: For a SIP *to*, with *password*.
            codecs: A list, or a comma-separated string.
            timeout: Seconds that the call rings (1 to 600).
            max_price_per_minute: USD (>= 0); a more expensive route is refused.
            send_digits: Pressed after the answer; ``0-9 A-D * # w ,``.
            custom_variables: At most 20; values of 1 to 1024 bytes.
            max_calls: Dial when fewer calls than that (>= 1) are up that this client has dialled; until then, wait in
                turn. It is an argument of the dial, so that an urgent call need not wait for a campaign; a dial without
                it counts, but does not wait. Cancelling, ``asyncio.timeout`` and closing the client end the waiting. A
                call counts from its dial to its end, or until the client forgets it (``Limits.silence``,
                ``Limits.unconfirmed``). So the end must be reported here: calls with a *status_url*, or with
                *status_events* without ``ended``, do not count, and cannot have *max_calls*.

        Raises:
            CommandError: The dial did not succeed; with ``CommandUnconfirmed``, a phone may ring, and ``call`` is it.
            ClientClosed: The client was closed meanwhile; the call is hung up.
        """
        refuse_none(Dial.command, status_events=status_events)
        command = Dial(
            from_=from_,
            to=to,
            url=url,
            swml=PARKED if url is None and swml is None else swml,
            to_script=to_script,
            caller_id=caller_id,
            fallback_url=fallback_url,
            status_url=status_url,
            status_events=listed(status_events),
            url_method=url_method,
            username=username,
            password=password,
            codecs=listed(codecs),
            timeout=timeout,
            max_price_per_minute=max_price_per_minute,
            send_digits=send_digits,
            region=listed(region),
            custom_variables=mapped(custom_variables),
        )
        if max_calls is not None:
            check_number("dial: max_calls", max_calls, least=1, whole=True)
            if status_url is not None or "ended" not in (command.status_events or ()):
                why = "used without status_url, and with 'ended' in status_events: the end of the call must be known"
                raise ValueError(f"dial: max_calls={max_calls} must be {why}")
        log_address(Dial.command, "to", to)
        return CallStart(partial(self._dial, self._engine.new_call(), command, max_calls))

    def call(self, call_id: str) -> Call:
        """Return a handle of a call that exists already; no request is sent.

        ::

            async with client.call("2e1e66e5-5d07-413d-9668-55542992eec0") as call:  # hangs up when the block ends
                await call.say("Hello.").finished()

        Whether there is such a call is known after the first command: ``CallNotFound``.
        """
        check_text("call_id", call_id)
        calls = self._engine.registry.calls
        known = calls.with_id(call_id)
        if known is not None:
            return cast(Call, self._engine.handle_of(known))
        call: Call = self._engine.new_call(call_id)
        calls.add(call._operation)
        return call

    async def execute(
        self, command: str, *, call_id: str | None = None, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send any command, also one that this version does not know; return the JSON object of the response.

        The parameters are not checked, and no action is registered.

        ::

            await client.execute("calling.play.stop", call_id=call.id, params={"control_id": "music"})

        Raises:
            CommandError: The command did not succeed.
            ClientClosed: The client is closed; ``RuntimeError``: it is not open yet.
        """
        check_text("command", command)
        if call_id is not None:
            check_text("call_id", call_id)
        sent = {} if params is None else mapped(params)
        check_document("params", sent)
        return await self._engine.execute(command, call_id, sent)

    async def accept(self, *, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Accept one webhook that another HTTP server received, and return the response to send.

        Args:
            path: The request's path as sent, not decoded.
            headers: Its headers; the case of their names does not matter.
            body: Its body as sent.

        ::

            reply = await client.accept(path=request.raw_path, headers=request.headers, body=await request.read())
            return web.Response(status=reply.status, body=reply.body, content_type=reply.content_type)

        """
        check_webhook(path, headers, body)
        return await self._engine.ingress.accept(path, headers, body)

    async def recover(self, owner: str | None = None) -> AsyncIterator[Action[Any]]:
        """Yield the unfinished actions of a process that has died: of *owner*, or of an earlier process of this name.

        Each action is attached to its call, gets the webhooks that came in between, and settles in this process.

        Raises:
            ConfigurationError: The client has no backplane.
            OwnerTaken: *owner* is alive, or another process was faster.
            BackplaneUnavailable: The backplane cannot be reached.
        """
        from .backplane.recovery import recover

        if self._engine.member is None:
            raise ConfigurationError("recover() needs a backplane, which stores the running actions: pass backplane=")
        for action in await recover(self._engine, self._engine.member, owner):
            yield action

    async def _dial(self, call: Call, command: Dial, max_calls: int | None) -> Call:
        await self._engine.dial(call._operation, command, max_calls)
        return call
