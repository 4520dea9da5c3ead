"""The check of ``swcalls doctor`` for the environment variables: whether they are set, and valid."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from yarl import URL

from swcalls.config import _ENVIRONMENT, _OPTIONAL_ENVIRONMENT, base_url, space_url
from swcalls.errors import ConfigurationError

from .finding import Finding


class Settings(Struct, frozen=True, kw_only=True):
    """The valid settings; ``None`` for one that is not set, or is in *faulty*."""

    project: str | None
    token: str | None
    space: URL | None
    signing_key: str | None
    public_url: str | None
    faulty: frozenset[str]
    """The names of the settings that are set, but not valid."""

    def __repr__(self) -> str:
        return f"<Settings of {self.space}>"


def check_environment(environ: Mapping[str, str], public_url: str | None) -> tuple[Finding, Settings]:
    """Check the environment variables in *environ*; *public_url* overrides SWCALLS_PUBLIC_URL."""
    found: dict[str, str] = {}
    faults: dict[str, str] = {}
    wrong, there, not_there = [], [], []
    for name, variable in (_ENVIRONMENT | _OPTIONAL_ENVIRONMENT).items():
        is_given = name == "public_url" and public_url is not None
        where, value = ("--public-url", public_url) if is_given else (variable, environ.get(variable))
        fault = _fault(name, value) if value else None
        if fault is not None:
            faults[name] = fault
            wrong.append(f"{where} {fault}")
        elif value:
            found[name] = value
            there.append(where)
        elif name in _ENVIRONMENT:
            wrong.append(f"{where} is not set")
        else:
            not_there.append(where)
    if wrong:
        advice = "Set the missing variables, and correct the others"
        finding = Finding(name="environment", level="wrong", what="; ".join(wrong), advice=advice)
    else:
        optional = f"; not set: {', '.join(not_there)}" if not_there else ""
        finding = Finding(name="environment", level="ok", what=f"set: {', '.join(there)}{optional}")
    space = found.get("space")
    return finding, Settings(
        project=found.get("project"),
        token=found.get("token"),
        space=None if space is None else space_url(space),
        signing_key=found.get("signing_key"),
        public_url=found.get("public_url"),
        faulty=frozenset(faults),
    )


def _fault(name: str, value: str) -> str | None:
    """Return what is wrong with a value, or None; the text never contains the value, which may be secret."""
    if value != value.strip():
        return "has white space around it"
    if not value.isprintable():
        return "has characters that are not printable, or not UTF-8"
    if name == "project" and ":" in value:
        return "has a colon, which no project id has"
    try:
        if name == "space":
            space_url(value)
        if name == "public_url":
            base_url(name, value)
    except ConfigurationError:
        space = "a space's name, its host, or a URL with no user"
        return f"must be {space if name == 'space' else 'an http(s) URL with no query'}"
    return None
