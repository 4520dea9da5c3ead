"""One HTTP request for the doctor, bounded in time; and in plain words, why it got no answer."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import Literal

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct
from yarl import URL

from swcalls.timeline.terminal_style import escaped

from .failure import reason

TIMEOUT = 5.0
"""Seconds for a name to resolve, and again for the request."""
LARGEST_ANSWER = 1024 * 1024
"""Bytes of an answer that are read."""

Why = Literal["name", "connection", "certificate", "time", "protocol"]


class NoResponse(Exception):
    """There was none; the message says what happened, *why* which of the steps it was that failed."""

    def __init__(self, message: str, why: Why) -> None:
        super().__init__(message)
        self.why = why


class Response(Struct, frozen=True):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    at: float
    """Unix seconds, half-way between question and answer."""


async def send_request(method: str, url: URL, headers: Mapping[str, str], body: bytes | None = None) -> Response:
    """Send one request, on a connection of its own; follow no redirect.

    Raises:
        NoResponse: The name did not resolve, there was no connection, or no answer, or not in time.
    """
    where = f"{url.raw_host}:{url.port}"
    resolver = _Resolved(await _addresses(url.raw_host or "", url.port or 0))
    began = time.time()
    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=resolver),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT),
                headers={"User-Agent": "swcalls"},
            ) as session,
            session.request(method, url, headers=headers, data=body, allow_redirects=False) as response,
        ):
            at = (began + time.time()) / 2
            content = b""
            while len(content) <= LARGEST_ANSWER and (more := await response.content.readany()):
                content += more
            return Response(response.status, response.headers, content[:LARGEST_ANSWER], at)
    except TimeoutError as error:
        raise NoResponse(f"no answer from {where} within {TIMEOUT:g} s", "time") from error
    except aiohttp.ClientConnectorCertificateError as error:
        certificate = escaped(str(error.certificate_error))
        raise NoResponse(f"the certificate of {where} is not accepted ({certificate})", "certificate") from error
    except aiohttp.ClientConnectorSSLError as error:
        told = getattr(error.os_error, "reason", None) or "no reason given"
        raise NoResponse(f"{where} does not speak TLS as it should ({escaped(str(told))})", "certificate") from error
    except aiohttp.ClientConnectorError as error:
        raise NoResponse(f"no connection to {where} ({escaped(reason(error.os_error))})", "connection") from error
    except aiohttp.ClientResponseError as error:
        raise NoResponse(f"{where} does not answer in HTTP", "protocol") from error
    except (aiohttp.ClientError, OSError) as error:
        raise NoResponse(f"{where} broke the connection ({type(error).__name__})", "connection") from error


async def _addresses(host: str, port: int) -> list[ResolveResult]:
    """Resolve *host* in a thread that nobody waits for at the end: the system may take minutes to give up."""
    with suppress(ValueError):
        ip_address(host)
        return []  # It is an address already, and nobody will ask.
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[ResolveResult] | OSError | UnicodeError] = loop.create_future()

    def put(result: list[ResolveResult] | OSError | UnicodeError) -> None:
        if not found.done():
            found.set_result(result)

    def look_up() -> None:
        result: list[ResolveResult] | OSError | UnicodeError
        try:
            result = [
                ResolveResult(
                    hostname=host, host=str(address[0]), port=port, family=family, proto=proto,
                    flags=socket.AI_NUMERICHOST,
                )
                for family, _, proto, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            ]  # fmt: skip
        except (OSError, UnicodeError) as error:
            result = error
        try:
            loop.call_soon_threadsafe(put, result)
        except RuntimeError:
            return  # It took so long that the loop is closed.

    threading.Thread(target=look_up, name="swcalls-doctor-dns", daemon=True).start()
    try:
        async with asyncio.timeout(TIMEOUT):
            result = await found
    except TimeoutError as error:
        raise NoResponse(f"the name {host} did not resolve within {TIMEOUT:g} s", "name") from error
    if isinstance(result, list):
        return result
    raise NoResponse(f"the name {host} does not resolve ({reason(result)})", "name") from result


class _Resolved(AbstractResolver):
    """Knows one name only, and that already."""

    def __init__(self, addresses: list[ResolveResult]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return self._addresses

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""
