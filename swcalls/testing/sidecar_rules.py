"""The simulator's check of a sidecar's ``prompt`` and ``SWAIG``, which the client sends unchecked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from .contract import Raw, unprocessable

_Text = str | UnsetType
_Name = Annotated[str, Meta(min_length=1)]

RESERVED = "sidecar_skip"
"""The name of a function that each sidecar has by itself."""


class _Closed(Struct, forbid_unknown_fields=True):
    """An object without unknown keys."""


class Section(_Closed, kw_only=True):
    title: _Name | UnsetType = UNSET
    subsections: Annotated[list[Section], Meta(min_length=1)] | UnsetType = UNSET
    numbered: bool | UnsetType = UNSET
    numbered_bullets: bool | UnsetType = msgspec.field(name="numberedBullets", default=UNSET)
    body: _Text = UNSET
    bullets: Annotated[list[str], Meta(min_length=1)] | UnsetType = UNSET


class Prompt(_Closed, kw_only=True):
    text: _Text = UNSET
    pom: Annotated[list[Section], Meta(min_length=1)] | UnsetType = UNSET
    file: _Text = UNSET


class Hook(_Closed, kw_only=True):
    web_hook_url: _Text = UNSET
    web_hook_auth_user: _Text = UNSET
    web_hook_auth_password: _Text = UNSET


class Parameters(_Closed, kw_only=True):
    type: Literal["object"]
    properties: dict[str, Any]
    required: list[str] | UnsetType = UNSET


class Function(Hook, kw_only=True):
    function: _Name
    description: _Text = UNSET
    purpose: _Text = UNSET
    parameters: Parameters | UnsetType = UNSET


class McpServer(_Closed, kw_only=True):
    url: str
    headers: dict[str, str] | UnsetType = UNSET
    resources: bool | UnsetType = UNSET
    resource_vars: dict[str, str] | UnsetType = UNSET


class Swaig(_Closed, kw_only=True):
    defaults: Hook | UnsetType = UNSET
    functions: list[Function] | UnsetType = UNSET
    mcp_servers: list[McpServer] | UnsetType = UNSET


class _Opaque(Struct):
    """The parameters of a sidecar that are checked here."""

    prompt: str | Prompt | UnsetType = UNSET
    SWAIG: Swaig | UnsetType = UNSET


def check_sidecar(params: Raw) -> None:
    """Check ``prompt`` and ``SWAIG`` of ``calling.ai_sidecar``.

    Raises:
        Refusal: A value breaks a rule.
        msgspec.ValidationError: A value has the wrong type.
    """
    checked = msgspec.convert({name: params[name] for name in ("prompt", "SWAIG") if name in params}, _Opaque)
    if isinstance(checked.prompt, Prompt):
        kinds = [name for name in checked.prompt.__struct_fields__ if getattr(checked.prompt, name) is not UNSET]
        if len(kinds) != 1:
            code = "incompatible_parameters" if kinds else "missing_required_parameter"
            raise unprocessable(code, "prompt must have one of text, pom and file", "prompt")
        if checked.prompt.pom is not UNSET:
            _check_sections(checked.prompt.pom, "prompt.pom")
    if checked.SWAIG is not UNSET and checked.SWAIG.functions is not UNSET:
        for index, function in enumerate(checked.SWAIG.functions):
            if function.function == RESERVED:
                path = f"SWAIG.functions[{index}].function"
                raise unprocessable("invalid_parameter", f"{path} must not be {RESERVED}, which is reserved", path)


def _check_sections(sections: list[Section], path: str) -> None:
    for index, section in enumerate(sections):
        where = f"{path}[{index}]"
        if section.body is UNSET and section.bullets is UNSET:
            raise unprocessable("missing_required_parameter", f"{where}.body or bullets must be given", f"{where}.body")
        if section.subsections is not UNSET:
            _check_sections(section.subsections, f"{where}.subsections")
