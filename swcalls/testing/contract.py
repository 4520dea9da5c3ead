"""Validates the requests that reach the simulator, and makes the error responses; `dispatch` uses it.

msgspec and the Structs of ``swcalls.commands`` check types, bounds, unknown and missing keys. The functions here check
the rules that the vendor's documentation states in prose. The client has checks of its own for them; these are written
independently, on the raw request, so that tests find mistakes in the client's. Source of codes and bodies: wire
contract, section g.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any, TypeVar, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from swcalls.commands import DESTINATION_RULE, Codec, Stream, is_destination, is_loopback

T = TypeVar("T", bound=Struct)
Raw = dict[str, Any]
Check = Callable[[Raw], None]

ERROR_CODES_PAGE = "https://signalwire.com/docs/apis/error-codes"

_OPAQUE = frozenset({
    "swml", "to_script", "custom_parameters", "custom_variables", "event", "global_data", "SWAIG", "prompt", "dest",
})  # fmt: skip
"""Parameters whose content belongs to the user: keys inside them are not checked."""
_URLS = frozenset({"url", "fallback_url", "status_url", "webhook"})
_CODECS = frozenset(get_args(Codec))
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_FOR_EXAMPLES = tuple(IPv4Network(f"{net}.0/24") for net in ("192.0.2", "198.51.100", "203.0.113"))
"""Networks reserved for documentation. They are accepted, since the vendor's examples use them."""
_RESERVED = re.compile(r"signalwire_|sw_|rtc_|internal_", re.IGNORECASE)
_MAX_VARIABLES = 20
_MAX_VARIABLE_BYTES = 1024
_LONGEST_NAME = 80


class Refusal(Exception):
    """The request is refused; *status* and *body* are those of the response."""

    def __init__(self, status: int, body: Raw) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def bad_request() -> Refusal:
    """Return the refusal of a body that is not a JSON object, or of an incomplete collect."""
    return Refusal(400, {"error": "Bad Request"})


def unauthorized() -> Refusal:
    """Return the refusal of wrong credentials."""
    return Refusal(401, {"error": "Unauthorized"})


def not_found() -> Refusal:
    """Return the refusal of a command for a call, or an operation, that does not exist or has ended."""
    return Refusal(404, {"error": "Not Found"})


def conflict() -> Refusal:
    """Return the refusal of an operation of which a call can have only one at a time."""
    return Refusal(409, {"error": "Conflict"})


def unprocessable(code: str, message: str, attribute: str | None = None) -> Refusal:
    """Return the refusal of one wrong *attribute*; the *message* must not contain its value."""
    error = {
        "type": "validation_error",
        "code": code,
        "message": message,
        "attribute": attribute,
        "url": ERROR_CODES_PAGE,
    }
    return Refusal(422, {"errors": [error]})


def read(body: bytes) -> Raw:
    """Decode the body of a request, which must be a JSON object.

    Raises:
        Refusal: The body is not a JSON object.
    """
    try:
        request = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise bad_request() from None
    if not isinstance(request, dict):
        raise bad_request()
    return request


def check_envelope(request: Raw, *, has_id: bool) -> Raw:
    """Check the keys ``id`` and ``params`` of *request*, and return ``params``.

    Raises:
        Refusal: A key is missing, unknown or of the wrong type.
    """
    for name in request.keys() - {"command", "params", "id"}:
        raise _unknown(name)
    if not has_id and "id" in request:
        raise _unknown("id")
    if has_id:
        check_filled(request, "id")
        if not isinstance(request["id"], str):
            raise unprocessable("not_a_string", "id must be a string", "id")
    if request.get("params") is None:
        raise _missing("params")
    params = request["params"]
    if not isinstance(params, dict):
        raise unprocessable("must_be_object", "params must be an object", "params")
    return params


def check_filled(request: Raw, name: str) -> None:
    """Raise `Refusal` if a required key is missing or blank."""
    if request.get(name) in (None, ""):
        raise _missing(name)


def read_params(params: Raw, kind: type[T], check: Check | None = None) -> T:
    """Check ``params`` with *check* and the schema of *kind*; return them as a *kind*.

    Raises:
        Refusal: ``params`` breaks a rule.
    """
    try:
        for path, name, value in _leaves(params):
            if value is None:
                raise unprocessable("invalid_parameter", f"{path} must not be null", path)
            if name in _URLS and isinstance(value, str):
                _check_url(value, path, _schemes(value) if kind is Stream and path == "url" else ("http", "https"))
        if check is not None:
            check(params)
        return msgspec.convert(params, kind, strict=True)
    except msgspec.ValidationError as error:
        raise _from_msgspec(str(error)) from None
    except RecursionError:
        raise bad_request() from None


def _schemes(url: str) -> tuple[str, ...]:
    """Return how the URL of a stream may begin; the platform itself takes ``wss`` only."""
    return ("wss", "ws") if is_loopback(url) else ("wss",)


def check_dial(params: Raw) -> None:
    """Check the destination, the dialplan, the codecs and the variables of a dial."""
    if "url" in params and "swml" in params:
        raise unprocessable("incompatible_parameters", "url and swml must not be given together", "url")
    if "url" not in params and "swml" not in params:
        raise unprocessable("inline_swml_or_swml_webhook_required", "either url or swml must be given", "url")
    if "to" not in params and "to_script" not in params:
        raise _missing("to")
    if isinstance(codecs := params.get("codecs"), str) and not _CODECS.issuperset(codecs.split(",")):
        raise unprocessable("invalid_codecs_format", "codecs must be a comma-separated list of codecs", "codecs")
    if "custom_variables" in params:
        _check_variables(params["custom_variables"])


def check_update(params: Raw) -> None:
    """Check that an update has at least one change, and not both ``url`` and ``swml``."""
    if "url" in params and "swml" in params:
        raise unprocessable("incompatible_parameters", "url and swml must not be given together", "url")
    if not params.keys() & {"status", "url", "swml", "status_url"}:
        raise unprocessable("missing_required_parameter", "status, url, swml or status_url must be given", "status")


def check_collect(params: Raw) -> None:
    """Check that a collect has ``digits`` or ``speech``; the documentation has a 400 for that."""
    if "digits" not in params and "speech" not in params:
        raise bad_request()


def check_tap(params: Raw) -> None:
    """Check that the device of a tap is a public IPv4 address, or a WebSocket URL."""
    _check_tagged(params, "tap")
    device = params.get("device")
    target = device.get("params") if isinstance(device, dict) else None
    if not isinstance(device, dict) or not isinstance(target, dict):
        return
    if device.get("type") == "rtp" and isinstance(addr := target.get("addr"), str) and not _is_public(addr):
        raise unprocessable(
            "invalid_parameter", "device.params.addr must be a public IPv4 address", "device.params.addr"
        )
    if device.get("type") == "ws" and isinstance(uri := target.get("uri"), str):
        _check_url(uri, "device.params.uri", ("ws", "wss"))


def check_refer(params: Raw) -> None:
    """Check that the addresses of a refer are SIP addresses."""
    _check_tagged(params, "device")
    device = params.get("device")
    target = device.get("params") if isinstance(device, dict) else None
    for name in ("to", "from"):
        address = target.get(name) if isinstance(target, dict) else None
        if isinstance(address, str) and not address.startswith("sip:"):
            raise unprocessable("invalid_sip_destination", f"device.params.{name} must be a sip: address", name)


def check_transfer(params: Raw) -> None:
    """Check the destination of a transfer."""
    dest = params.get("dest")
    # The Struct refuses an empty destination, and one of another type.
    if (isinstance(dest, dict) or (isinstance(dest, str) and dest)) and not is_destination(dest):
        raise unprocessable("invalid_parameter", f"dest must be {DESTINATION_RULE}", "dest")


def check_action(params: Raw) -> None:
    """Check that the ``action`` of a live transcription or translation has exactly one key."""
    action = params.get("action")
    if isinstance(action, dict) and len(action) != 1:
        raise unprocessable("incompatible_parameters", "action must have exactly one key", "action")


def check_hold(params: Raw) -> None:
    """Check that the ``timeout`` of a hold is a string of digits."""
    timeout = params.get("timeout")
    if timeout is not None and not (isinstance(timeout, str) and timeout.isascii() and timeout.isdigit()):
        raise unprocessable("not_a_string", "timeout must be a string of digits", "timeout")


def _check_tagged(params: Raw, name: str) -> None:
    """Check that an object has a ``type``: msgspec does not require the tag if there is only one type."""
    if isinstance(value := params.get(name), dict) and "type" not in value:
        raise _missing(f"{name}.type")


def _is_public(addr: str) -> bool:
    try:
        address = IPv4Address(addr)
    except ValueError:
        return False
    return address.is_global or any(address in network for network in _FOR_EXAMPLES)


def _leaves(params: Raw) -> Iterator[tuple[str, str, object]]:
    """Yield each value in *params* that is no object and no list, with its path and its own name."""
    # Paths are cut early: a long path, copied for each item of a long list, would fill the memory.
    pending: list[tuple[str, str, object]] = [(_short(name), name, value) for name, value in params.items()]
    while pending:
        path, name, value = pending.pop()
        if value is None or name not in _OPAQUE:
            if isinstance(value, dict):
                pending += [(_short(f"{path}.{_short(key)}"), key, item) for key, item in value.items()]
            elif isinstance(value, list):
                pending += [(_short(f"{path}[{index}]"), name, item) for index, item in enumerate(value)]
            else:
                yield path, name, value


def _check_url(url: str, path: str, schemes: tuple[str, ...]) -> None:
    try:
        parts = urlsplit(url)
        is_complete = bool(parts.hostname) and parts.port != 0 and not re.search(r"\s", url)
    except ValueError:
        raise unprocessable("url_failed_to_parse", f"{path} must be a URL", path) from None
    if parts.scheme not in schemes:
        code = "not_an_http_url" if "http" in schemes else "invalid_parameter"
        raise unprocessable(code, f"{path} must be a valid {' or '.join(schemes)} url", path)
    if not is_complete:
        raise unprocessable("url_failed_to_parse", f"{path} must be a URL", path)


def _check_variables(variables: object) -> None:
    name = "custom_variables"
    if not isinstance(variables, dict):
        raise unprocessable("must_be_object", f"{name} must be an object", name)
    if len(variables) > _MAX_VARIABLES:
        raise unprocessable("too_many_custom_variables", f"{name} must be at most {_MAX_VARIABLES}", name)
    for key, value in variables.items():
        if not _VARIABLE.match(key):
            raise unprocessable("invalid_custom_variable_name", f"{name} has an invalid name", name)
        if _RESERVED.match(key):
            raise unprocessable("reserved_custom_variable_name", f"{name} has a name with a reserved prefix", name)
        if not isinstance(value, str) or not value:
            raise unprocessable("invalid_custom_variable_value", f"{name} must be strings that are not empty", name)
        if len(value.encode()) > _MAX_VARIABLE_BYTES:
            raise unprocessable(
                "custom_variable_value_too_long", f"{name} must be at most {_MAX_VARIABLE_BYTES} bytes each", name
            )


_REASONS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"Object missing required field `(?P<field>.*)`", re.DOTALL),
        "missing_required_parameter",
        "must be given",
    ),
    (
        re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL),
        "invalid_parameter",
        "is not a parameter",
    ),
    (re.compile(r"Invalid (enum )?value"), "unsupported_option", "is not one of the supported options"),
    (re.compile(r"Expected `str` of length >= 1\b"), "missing_required_parameter", "must not be blank"),
    (re.compile(r"Expected `str( \| null)?`, got"), "not_a_string", "must be a string"),
    (re.compile(r"Expected `bool( \| null)?`, got"), "not_a_boolean", "must be true or false"),
    (re.compile(r"Expected `object( \| null)?`, got"), "must_be_object", "must be an object"),
)


def _from_msgspec(problem: str) -> Refusal:
    """Return the refusal for the message of a msgspec.ValidationError, which contains path and rule, but no value."""
    words, _, path = problem.partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    for pattern, code, rule in _REASONS:
        found = pattern.match(words)
        if found:
            path = _short(".".join(part for part in (path, found.groupdict().get("field")) if part))
            return unprocessable(code, f"{path or 'params'} {rule}", path or None)
    return unprocessable("invalid_parameter", f"{path or 'params'} is not valid", path or None)


def _missing(name: str) -> Refusal:
    return unprocessable("missing_required_parameter", f"{name} must be given", name)


def _unknown(name: str) -> Refusal:
    name = _short(name)
    return unprocessable("invalid_parameter", f"{name} is not a part of this request", name)


def _short(name: str) -> str:
    return name[:_LONGEST_NAME]
