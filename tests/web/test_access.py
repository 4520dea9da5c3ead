"""Who may see the page, and what protects it in a browser."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from site_of_a_page import TOKEN, Site

import swcalls
from swcalls import Client, ConfigurationError, Limits
from swcalls.web import access
from swcalls.web.access import COOKIE, Access

ServePage = Callable[..., Awaitable[Site]]


@pytest.fixture
async def site(client: Client, serve_page: ServePage) -> Site:
    return await serve_page(client)


async def test_a_stranger_gets_the_login_form_and_nothing_else(site: Site) -> None:
    response, text = await site.get()
    assert response.status == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert 'type="password"' in text
    assert "<script" not in text
    response, text = await site.get("/events")
    assert (response.status, text) == (401, "")
    assert site.page.viewers == 0


async def test_the_token_opens_the_page_by_a_cookie_that_no_script_and_no_other_site_can_use(site: Site) -> None:
    response = await site.sign_in()
    assert response.status == 303
    assert TOKEN not in response.headers["Location"]
    cookie = response.cookies[COOKIE]
    assert TOKEN not in cookie.value
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Strict", "")
    response, text = await site.get()
    assert response.status == 200
    assert '<tbody id="calls"' in text
    response, _ = await site.get("/logout", "POST")
    assert response.status == 303
    response, _ = await site.get()
    assert response.status == 401


async def test_behind_https_the_cookie_is_for_https_only(site: Site) -> None:
    response, _ = await site.get("/login", "POST", data={"token": TOKEN}, headers={"X-Forwarded-Proto": "https"})
    assert response.cookies[COOKIE]["secure"]


async def test_a_wrong_token_opens_nothing_and_is_not_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "swcalls"):
        response = await site.sign_in(TOKEN[:-1])
    assert response.status == 403
    assert not response.cookies
    (record,) = [record for record in caplog.records if record.name == "swcalls.dashboard"]
    assert TOKEN[:-1] not in record.getMessage()
    response, _ = await site.get("/events", headers={"Authorization": f"Bearer {TOKEN[:-1]}"})
    assert response.status == 401


@pytest.mark.parametrize(
    "value", ["", ".", "x.y", "99999999999", f"99999999999.{'0' * 48}", "99999999999.\u00e9", f"{TOKEN}.{TOKEN}"]
)
async def test_a_made_up_cookie_opens_nothing(site: Site, value: str) -> None:
    response, _ = await site.get(headers={"Cookie": f"{COOKIE}={value}"})
    assert response.status == 401


async def test_an_old_cookie_opens_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "SESSION", -1)
    response = await site.sign_in()
    response, _ = await site.get(headers={"Cookie": f"{COOKIE}={response.cookies[COOKIE].value}"})
    assert response.status == 401


async def test_a_viewer_is_disconnected_when_the_session_ends(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "SESSION", 0.05)
    async with site.viewer() as viewer:
        while await viewer.next() is not None:
            pass


@pytest.mark.parametrize("path", ["", "/events"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_what_only_shows_takes_nothing(site: Site, path: str, method: str) -> None:
    response, _ = await site.get(path, method, headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status == 405


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"data": b"token=" + b"x" * 5000, "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 400),
        ({"json": {"token": TOKEN}}, 400),
        ({"data": {"other": TOKEN}}, 403),
    ],
)
async def test_only_a_short_form_is_read(site: Site, body: dict[str, Any], status: int) -> None:
    response, _ = await site.get("/login", "POST", **body)
    assert response.status == status
    assert not response.cookies


@pytest.mark.parametrize("path", ["", "/events", "/login"])
@pytest.mark.parametrize("is_admitted", [True, False])
async def test_every_response_is_protected(site: Site, path: str, is_admitted: bool) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"} if is_admitted else {}
    method = "POST" if path == "/login" else "GET"
    async with site.session.request(method, site.url + path, headers=headers) as response:
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        policy = response.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        if "html" in response.content_type:
            assert "frame-ancestors 'none'" in policy
            assert not re.search(r"https?://|//cdn|src=", (await response.text()).replace("http://www.w3.org", ""))


async def test_the_page_works_below_a_sub_application(client: Client, serve_page: ServePage) -> None:
    site = await serve_page(client, path="/inner/calls")
    _, text = await site.get()
    assert 'action="calls/login"' in text
    response = await site.sign_in()
    assert response.headers["Location"] == "../calls"


@pytest.mark.parametrize("token", ["short", "with spaces in the token", "\u00fc" * 20, b"0123456789abcdef", None])
def test_a_weak_token_is_refused_and_not_shown(token: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"token=\*\*\* must be at least 16 characters") as caught:
        swcalls.dashboard(web.Application(), Client("project", "token", "space"), token=token)
    assert str(token) not in str(caught.value)


@pytest.mark.parametrize("path", ["", "/", "calls", "/calls/", "/{any}", None])
def test_a_wrong_path_is_refused(path: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"dashboard: path="):
        swcalls.dashboard(web.Application(), Client("project", "token", "space"), token=TOKEN, path=path)


def test_calls_without_timelines_are_refused() -> None:
    client = Client("project", "token", "space", limits=Limits(timeline=0))
    with pytest.raises(ConfigurationError, match=r"limits\.timeline=0 must be greater than 0"):
        swcalls.dashboard(web.Application(), client, token=TOKEN)


def test_the_token_is_not_kept() -> None:
    kept = vars(Access(TOKEN))
    assert TOKEN not in repr(kept)
    assert TOKEN.encode() not in kept.values()


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    monkeypatch.setattr("hmac.compare_digest", lambda *both: compared.append(both) or both[0] == both[1])
    check = Access(TOKEN)
    assert check.is_token(TOKEN)
    assert not check.is_token(TOKEN[:3])
    # Hashes of one length, so that not even the length of the token shows.
    assert {len(one) for both in compared for one in both} == {64}
