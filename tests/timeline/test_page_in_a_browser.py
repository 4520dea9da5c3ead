"""The script of the HTML page, run by a browser if one is installed."""

from __future__ import annotations

import asyncio
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest

from swcalls import Timeline

from .test_text import CALL

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
async def test_the_script_makes_cards_of_the_tooltips_and_says_that_the_picture_scrolls(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(Timeline(marks=tuple(CALL)).html())
    flags = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--window-size=500,800")
    process = await asyncio.create_subprocess_exec(
        CHROMIUM or "", *flags, "--dump-dom", page.as_uri(), stdout=PIPE, stderr=DEVNULL
    )
    try:
        dom = (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    in_picture = re.findall(r'<g class="mark[^>]*data-mark="\d+"[^>]*>', dom)
    assert in_picture
    assert all("aria-label=" in mark for mark in in_picture)
    assert 'class="picture scrolls after"' in dom
