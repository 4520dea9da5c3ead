"""`dashboard`: adds the page to an aiohttp application; `Dashboard` is its handlers."""

from __future__ import annotations

import asyncio
import logging
import re
from urllib.parse import parse_qs

from aiohttp import web

from ..client import Client
from ..errors import ConfigurationError, shown
from .access import Access, protected
from .page import LOGIN_POLICY, POLICY, login_page, page
from .sources import ClientSource, Source
from .viewers import Viewers

PATH = "/swcalls-dashboard"
LONGEST_FORM = 4096
"""Bytes of the login form."""
FORM_TIMEOUT = 10.0
"""Seconds in which the login form must have come."""

_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+\Z")
_log = logging.getLogger("swcalls.dashboard")


def dashboard(
    app: web.Application, client: Client, *, token: str, path: str = PATH, show_private: bool = False
) -> Dashboard:
    """Add a page to *app* that shows the calls of *client* which are up, their timelines and the client's counters.

    The page changes as the calls do. It is read-only, and costs nothing while nobody looks at it. Whoever opens it has
    to enter *token* once, which gives a cookie for 12 hours; a program sends ``Authorization: Bearer TOKEN``. Serve it
    by HTTPS, as everything else that asks for a secret. With several workers, a page shows the calls of one of them.

    Args:
        app: The application, before it is started.
        client: The client, whose calls must have timelines (``Limits.timeline``).
        token: A secret of at least 16 characters for this page alone, for example of ``secrets.token_urlsafe()``. It is
            required, since a token that is made here could only be told by writing it into a log.
        path: Where the page is, such as ``/swcalls-dashboard``.
        show_private: Also show phone numbers, error messages, and what parties press and say. By default the page
            shows of them only that they are there: whoever has to know how calls run need not know who says what.

    Raises:
        ConfigurationError: A setting is wrong, or the calls of *client* have no timelines.
    """
    if not client._engine.limits.timeline:
        raise ConfigurationError("dashboard: limits.timeline=0 must be greater than 0: the page shows timelines")
    mounted = Dashboard(ClientSource(client), token=token, path=path, show_private=show_private)
    mounted.add_to(app)
    return mounted


class Dashboard:
    """A page that was added to an application: how many look at it, and how many were too slow for it.

    Args:
        source: The calls and counters to show.
        token: The secret that opens the page.
        path: Where the page is.
        show_private: Whether to show numbers, and what parties press and say.
    """

    def __init__(self, source: Source, *, token: str, path: str = PATH, show_private: bool = False) -> None:
        if not isinstance(path, str) or not _PATH.match(path):
            raise ConfigurationError(
                f"dashboard: path={shown(path)} must be like {PATH!r}: segments of letters, digits and . _ ~ -"
            )
        self.path: str = path
        """Where the page is."""
        self._access = Access(token)
        self._viewers = Viewers(source, private=show_private)
        # Relative addresses are right behind every proxy, and in every sub-application.
        self._name = path.rpartition("/")[2]
        self._page = page(self._name, is_private=show_private)

    def __repr__(self) -> str:
        return f"<Dashboard {self.path}, viewers: {self.viewers}>"

    @property
    def viewers(self) -> int:
        """How many viewers are connected; 16 at most."""
        return len(self._viewers)

    @property
    def dropped(self) -> int:
        """How many viewers were disconnected, since they were too slow."""
        return self._viewers.dropped

    def add_to(self, app: web.Application) -> None:
        """Add the routes of the page to *app*. The connections of viewers end when *app* shuts down."""
        app.add_routes(
            [
                web.get(self.path, self._show),
                web.get(f"{self.path}/events", self._stream, allow_head=False),
                web.post(f"{self.path}/login", self._sign_in),
                web.post(f"{self.path}/logout", self._sign_out),
            ]
        )
        # At once: other parts of the application may take their time to shut down.
        app.on_shutdown.insert(0, self._shut_down)

    async def _show(self, request: web.Request) -> web.Response:
        if self._access.admitted_until(request) is None:
            return self._login_page(401)
        return protected(web.Response(text=self._page, content_type="text/html"), POLICY)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        until = self._access.admitted_until(request)
        if until is None:
            return protected(web.Response(status=401, headers=_CHALLENGE), LOGIN_POLICY)
        return await self._viewers.serve(request, until)

    async def _sign_in(self, request: web.Request) -> web.Response:
        length = request.content_length
        if length is None or length > LONGEST_FORM or request.content_type != "application/x-www-form-urlencoded":
            return self._login_page(400)
        try:
            async with asyncio.timeout(FORM_TIMEOUT):
                form = parse_qs((await request.read()).decode(errors="replace"))
        except TimeoutError:
            return self._login_page(408)
        if not self._access.is_token(form.get("token", [""])[0].strip()):
            _log.warning("a wrong token was refused, from %.100r", request.remote)
            return self._login_page(403)
        response = self._redirect()
        self._access.sign_in(request, response)
        return response

    async def _sign_out(self, request: web.Request) -> web.Response:
        response = self._redirect()
        self._access.sign_out(response)
        return response

    async def _shut_down(self, app: web.Application) -> None:
        self._viewers.close()

    def _login_page(self, status: int) -> web.Response:
        text = login_page(self._name, is_wrong=status == 403)
        headers = _CHALLENGE if status == 401 else {}
        return protected(
            web.Response(text=text, status=status, content_type="text/html", headers=headers), LOGIN_POLICY
        )

    def _redirect(self) -> web.Response:
        return protected(web.Response(status=303, headers={"Location": f"../{self._name}"}), LOGIN_POLICY)


_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="swcalls dashboard"'}
