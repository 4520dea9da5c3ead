"""Streaming audio: ``calling.stream`` and what controls it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ..commands import Method, Stream, Track, as_strings, refuse_none
from ..results import StreamResult
from ..words import StreamState
from .action import Stoppable
from .start import ActionStart
from .verb_base import VerbBase, given


class StreamAction(Stoppable[StreamResult]):
    """A stream of the call's audio. States: ``streaming``, ``finished``."""

    __slots__ = ()
    family: ClassVar[str] = "calling.stream"

    if TYPE_CHECKING:

        @property
        def state(self) -> StreamState | None: ...


class StreamVerbs(VerbBase):
    """The method of a ``Call`` that streams its audio."""

    __slots__ = ()

    def stream(
        self,
        url: str,
        *,
        name: str | None = None,
        codec: str | None = None,
        track: Track | None = None,
        authorization_bearer_token: str | None = None,
        custom_parameters: Mapping[str, Any] | None = None,
        status_url_method: Method = "POST",
        control_id: str | None = None,
        status_url: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[StreamAction, StreamResult]:
        """Stream the call's audio to a WebSocket. Wire: ``calling.stream``.

        Args:
            url: A ``wss://`` URL.
            track: ``inbound_track``, ``outbound_track`` or ``both_tracks``.
            custom_parameters: Sent with the stream; each value is converted to a string.
            status_url_method: ``GET`` only with a *status_url* of your own: the receiver accepts POST only.
        """
        refuse_none(Stream.command, status_url_method=status_url_method)
        command = Stream(
            control_id=given(control_id),
            status_url=status_url,
            url=url,
            name=name,
            codec=codec,
            track=track,
            authorization_bearer_token=authorization_bearer_token,
            custom_parameters=as_strings(custom_parameters),
            status_url_method=status_url_method,
        )
        if status_url is None and status_url_method != "POST":
            raise ValueError(
                f"calling.stream: status_url_method={status_url_method!r} must be 'POST' unless status_url"
                " is given: the receiver accepts POST only"
            )
        return self._start(StreamAction, command, deadline)
