"""AI sidecars, which listen to a call: ``calling.ai_sidecar``, its control commands, and questions to it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from .._core.fields import whole
from .._core.limits import check_seconds
from .._core.operation import PLAIN, Options
from .._core.responses import counters, find_text
from .._engine.ids import new_id
from ..call_leg import Leg
from ..commands import (
    Bare,
    Party,
    Sidecar,
    SidecarAsk,
    SidecarParams,
    SidecarPermissions,
    SidecarPoke,
    SidecarSummary,
    Summarize,
    listed,
)
from ..results import SidecarAnswer, SidecarResult, SidecarStatus, Summary
from .action import Action, Stoppable
from .start import ActionStart
from .verb_base import VerbBase

_ONE_ANSWER = Options(bound=120)
"""An answer is awaited for 120 s: it is not documented that one always comes."""


class AskAction(Action[SidecarAnswer]):
    """A question to a sidecar. The platform's response to the command has its ``ask_id``."""

    __slots__ = ("_sidecar", "ask_id")
    family: ClassVar[str] = "calling.ai_sidecar.ask"

    def __init__(self, sidecar: SidecarAction, options: Options) -> None:
        super().__init__(sidecar.call, new_id(), options)
        self._sidecar = sidecar
        self.ask_id: str | None = None
        """The platform's id of the question; ``None``: the response had none, so no answer can be matched to it."""

    def _accepted(self, answer: Mapping[str, Any]) -> None:
        self.ask_id = find_text(answer, "ask_id")
        if self.ask_id is not None:
            registry = self.call._engine.registry
            registry.expect_answer(self._sidecar._operation, self.ask_id, self._operation, time.monotonic())


class SidecarAction(Stoppable[SidecarResult]):
    """A running sidecar; its events are ``SidecarEvent``. The last one is ``final``, after a stop or the call's end."""

    __slots__ = ()
    family: ClassVar[str] = "calling.ai_sidecar"

    async def poke(self, text: str) -> Leg:
        """Send *text* to the sidecar, which reacts at once. Wire: ``calling.ai_sidecar.poke``."""
        return await self._control("poke", SidecarPoke(text=text))

    def ask(self, text: str, *, deadline: float | None = None) -> ActionStart[AskAction, SidecarAnswer]:
        """Ask the sidecar a question; the result is its answer. Wire: ``calling.ai_sidecar.ask``."""
        check_seconds("deadline", deadline)
        action = AskAction(self, PLAIN if deadline is not None else _ONE_ANSWER)
        run = partial(self.call._engine.start, action._operation, SidecarAsk(text=text), deadline)
        return ActionStart("SidecarAction.ask", action, run, deadline)

    async def status(self) -> SidecarStatus:
        """Return the counters of the sidecar. Wire: ``calling.ai_sidecar.status``."""
        leg = await self._control("status", Bare())
        pairs = counters(leg.raw)
        counted = {name: whole(pairs, name) for name in SidecarStatus.__struct_fields__[1:-1]}
        known = {name: count for name, count in counted.items() if count is not None}
        running = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
        return SidecarStatus(running=running.get(pairs.get("running", "").lower()), raw=pairs, **known)

    def _stop_command(self) -> tuple[str, object]:
        return f"{self.family}.stop", Bare()


class SummaryAction(Action[Summary]):
    """A one-off summary of the call so far; the first event ends the action."""

    __slots__ = ()
    family: ClassVar[str] = "calling.ai_sidecar.summarize"


class SidecarVerbs(VerbBase):
    """The methods of a ``Call`` that attach an AI sidecar, or have the call summarised."""

    __slots__ = ()

    def sidecar(
        self,
        lang: str,
        *,
        prompt: str | dict[str, Any] | None = None,
        model: str | None = None,
        direction: Sequence[Party] | None = None,
        customer_role: Party | None = None,
        swaig: dict[str, Any] | None = None,
        permissions: SidecarPermissions | None = None,
        global_data: dict[str, Any] | None = None,
        hints: Sequence[str] | None = None,
        params: SidecarParams | None = None,
        control_id: str | None = None,
        status_url: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[SidecarAction, SidecarResult]:
        """Attach an AI that listens to the call. The call must be up, and can have one. Wire: ``calling.ai_sidecar``.

        Args:
            lang: One BCP-47 tag.
            prompt: A text, or an object with ``text``, ``pom`` or ``file``.
            direction: Both parties, if given.
            customer_role: Which of them is the customer.
            swaig: Functions that the AI may call (``SWAIG`` on the wire).
            status_url: Where the callbacks go (``url`` on the wire).
        """
        command = Sidecar(
            lang=lang,
            prompt=prompt,
            model=model,
            direction=listed(direction),
            customer_role=customer_role,
            url=status_url,
            SWAIG=swaig,
            permissions=permissions,
            global_data=global_data,
            hints=listed(hints),
            params=params,
        )
        return self._start(SidecarAction, command, deadline, key=control_id, name="sidecar")

    def sidecar_summary(
        self,
        lang: str,
        *,
        prompt: str | None = None,
        model: str | None = None,
        control_id: str | None = None,
        status_url: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[SummaryAction, Summary]:
        """Summarise the call so far, without a sidecar. Wire: ``calling.ai_sidecar`` with ``summarize``.

        Args:
            lang: One BCP-47 tag.
            prompt: How to summarise.
        """
        verb = SidecarSummary(summarize=Summarize(prompt=prompt))
        command = Sidecar(lang=lang, model=model, url=status_url, action=verb)
        if status_url is not None:
            command.report_to(status_url)
        return self._start(SummaryAction, command, deadline, _ONE_ANSWER, key=control_id, name="sidecar_summary")
