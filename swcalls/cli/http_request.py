"""`send_request`: one HTTP request for ``swcalls doctor``, with a timeout and plain messages for what went wrong."""

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
"""Seconds for resolving the name, and the same again for the request."""
MAX_RESPONSE = 1024 * 1024
"""Bytes of a response that are read."""

Step = Literal["name", "connection", "certificate", "time", "protocol"]
"""Resolving the name, connecting, TLS, the time limit, or reading the response as HTTP."""


class NoResponse(Exception):
    """No response came; the message says why, and ``failed_step`` which step of the request failed."""

    def __init__(self, message: str, failed_step: Step) -> None:
        super().__init__(message)
        self.failed_step = failed_step


class Response(Struct, frozen=True):
    """The response of a server."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    at: float
    """Unix seconds by this machine's clock, half-way between request and response, to compare with the server's."""


async def send_request(method: str, url: URL, headers: Mapping[str, str], body: bytes | None = None) -> Response:
    """Send one request on a new connection, without following redirects; return the response.

    Raises:
        NoResponse: The name does not resolve, the connection fails, or no valid response comes in time.
    """
    where = f"{url.raw_host}:{url.port}"
    resolver = _FixedResolver(await _addresses(url.raw_host or "", url.port or 0))
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
            while len(content) <= MAX_RESPONSE and (more := await response.content.readany()):
                content += more
            return Response(response.status, response.headers, content[:MAX_RESPONSE], at)
    except TimeoutError as error:
        raise NoResponse(f"no answer from {where} within {TIMEOUT:g} s", "time") from error
    except aiohttp.ClientConnectorCertificateError as error:
        certificate = escaped(str(error.certificate_error))
        raise NoResponse(f"the certificate of {where} is not accepted ({certificate})", "certificate") from error
    except aiohttp.ClientConnectorSSLError as error:
        tls_error = escaped(str(getattr(error.os_error, "reason", None) or "no reason given"))
        raise NoResponse(f"the TLS handshake with {where} failed ({tls_error})", "certificate") from error
    except aiohttp.ClientConnectorError as error:
        raise NoResponse(f"no connection to {where} ({escaped(reason(error.os_error))})", "connection") from error
    except aiohttp.ClientResponseError as error:
        raise NoResponse(f"the answer of {where} is not HTTP", "protocol") from error
    except (aiohttp.ClientError, OSError) as error:
        raise NoResponse(f"{where} closed the connection ({type(error).__name__})", "connection") from error


async def _addresses(host: str, port: int) -> list[ResolveResult]:
    """Resolve *host* in a daemon thread, which may outlive the program: the system can take minutes to give up."""
    with suppress(ValueError):
        ip_address(host)
        return []  # aiohttp does not call the resolver for an IP address.
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[ResolveResult] | OSError | UnicodeError] = loop.create_future()

    def set_result(result: list[ResolveResult] | OSError | UnicodeError) -> None:
        if not found.done():
            found.set_result(result)

    def resolve() -> None:
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
            loop.call_soon_threadsafe(set_result, result)
        except RuntimeError:
            return  # The loop was closed in the meantime.

    threading.Thread(target=resolve, name="swcalls-doctor-dns", daemon=True).start()
    try:
        async with asyncio.timeout(TIMEOUT):
            result = await found
    except TimeoutError as error:
        raise NoResponse(f"the name {host} did not resolve within {TIMEOUT:g} s", "name") from error
    if isinstance(result, list):
        return result
    raise NoResponse(f"the name {host} does not resolve ({reason(result)})", "name") from result


class _FixedResolver(AbstractResolver):
    """Returns the addresses that were resolved before."""

    def __init__(self, addresses: list[ResolveResult]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return self._addresses

    async def close(self) -> None:
        """Do nothing: this resolver holds no resources."""
