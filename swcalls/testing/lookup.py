"""The simulator's voice log API: answers requests for the list of calls, for one call, and for its events.

Source: wire contract, section f.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .contract import not_found, unprocessable
from .exchange import MAX_CALLS, Exchange
from .voicelog import VoiceLog

PATH = "/api/voice/logs"
PAGE_SIZE = 50
LARGEST_PAGE = 1000


def answer(log: VoiceLog, exchange: Exchange, call_id: str | None, part: str, query: Mapping[str, str]) -> Any:
    """Return the response for the list of calls, for one call (*call_id*), or for its events (*part* ``events``).

    Raises:
        Refusal: The call does not exist, or a parameter is wrong.
    """
    if call_id is None:
        return _page(exchange, query)
    call = exchange.calls.get(call_id)
    if call is None or part not in ("", "events"):
        raise not_found()
    return {"data": log.events(call_id)} if part else call.leg()


def _page(exchange: Exchange, query: Mapping[str, str]) -> dict[str, Any]:
    size = _integer(query, "page_size", PAGE_SIZE, 1, LARGEST_PAGE)
    number = _integer(query, "page_number", 0, 0, MAX_CALLS)
    calls = list(reversed(exchange.calls.values()))
    begin = number * size

    def link(page: int) -> str:
        return f"{PATH}?page_number={page}&page_size={size}"

    links = {"self": link(number), "first": link(0)}
    if begin + size < len(calls):
        links["next"] = link(number + 1)
    if number:
        links["prev"] = link(number - 1)
    return {"links": links, "data": [call.leg() for call in calls[begin : begin + size]]}


def _integer(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    value = query.get(name, str(default))
    if not (value.isascii() and value.isdigit() and least <= int(value[:9]) <= most):
        raise unprocessable("invalid_parameter", f"{name} must be a whole number from {least} to {most}", name)
    return int(value)
