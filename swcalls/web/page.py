"""The HTML of the page and of its login form. The browser makes the rest of what the events bring (`script`)."""

from __future__ import annotations

import hashlib
from base64 import b64encode

from ..timeline.style import PICTURE
from .script import SCRIPT
from .style import STYLE

_COLUMNS = ("Call", "Direction", "From", "To", "State", "For", "Running")
_HIDDEN = (
    '<p class="soft">Phone numbers, and what parties press and say, are not shown. '
    "The setting <code>show_private</code> (in the program: <code>--show-private</code>) shows them.</p>"
)


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_STYLES = PICTURE + STYLE
_COMMON = "img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
POLICY = f"default-src 'none'; style-src {_hash(_STYLES)}; script-src {_hash(SCRIPT)}; connect-src 'self'; {_COMMON}"
"""The Content-Security-Policy of the page: its own script and styles, by hash, and its own server."""
LOGIN_POLICY = f"default-src 'none'; style-src {_hash(_STYLES)}; {_COMMON}"


def page(name: str, *, is_private: bool) -> str:
    """Return the page.

    Args:
        name: The last segment of its path, to which the addresses on the page are relative.
        is_private: Whether phone numbers, and what parties press and say, are shown.
    """
    heads = "".join(f'<th scope="col" role="columnheader">{column}</th>' for column in _COLUMNS)
    return _document(
        '<header><h1>Calls</h1><p id="status" role="status">Connecting …</p>'
        f'<form method="post" action="{name}/logout"><button>Sign out</button></form></header>'
        "<noscript><p>This page needs JavaScript.</p></noscript>"
        f'<section aria-labelledby="up"><h2 id="up">Calls that are up</h2>'
        f'<table role="table" aria-labelledby="up" hidden><thead role="rowgroup"><tr role="row">{heads}</tr></thead>'
        '<tbody id="calls" role="rowgroup"></tbody></table>'
        f'<p id="none" class="soft" hidden>No call is up.</p><p id="more" class="soft" hidden></p>'
        f"{'' if is_private else _HIDDEN}</section>"
        '<section aria-labelledby="timelines-head"><h2 id="timelines-head">Timelines</h2><div id="timelines"></div>'
        '</section><section aria-labelledby="counters-head"><h2 id="counters-head">Counters</h2>'
        '<dl id="counters"></dl></section>',
        f'<script data-events="{name}/events">{SCRIPT}</script>',
    )


def login_page(name: str, *, is_wrong: bool) -> str:
    """Return the login form; *is_wrong*: after a wrong token."""
    wrong = '<p class="bad" role="alert">This is not the token.</p>' if is_wrong else ""
    return _document(
        f'<form class="login" method="post" action="{name}/login"><h1>Calls</h1>{wrong}'
        # For password managers, which keep a password with a name.
        '<input name="user" autocomplete="username" value="swcalls" hidden>'
        '<label for="token">Token of this page</label>'
        '<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>'
        "<button>Sign in</button></form>",
        "",
    )


def _document(content: str, script: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><title>Calls</title>'
        f'<link rel="icon" href="data:,"><style>{_STYLES}</style></head>'
        f"<body><main>{content}</main>{script}</body></html>\n"
    )
