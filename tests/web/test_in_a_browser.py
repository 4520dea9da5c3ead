"""The page in a real browser: it shows calls, grows with them, and runs nothing that a caller has sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from browser import CHROMIUM, browser
from site_of_a_page import TOKEN, Site

import swcalls
from swcalls import Client, Digits
from swcalls.testing import Callee, Simulator

ServePage = Callable[..., Awaitable[Site]]
NASTY = "<img src=x onerror='window.attacked=1'>\"&</svg><script>window.attacked=1</script>"
CONTRAST = """(() => {
  const light = (colour) => {
    const part = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const [red, green, blue] = colour.match(/[\\d.]+/g).map(Number);
    return 0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue);
  };
  const behind = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return colour === "rgba(0, 0, 0, 0)" ? behind(element.parentElement) : colour;
  };
  return Math.min(...[...document.querySelectorAll("h1,h2,h3,p,th,td,a,dt,dd,button,code,span")]
    .filter((element) => element.checkVisibility() && element.textContent)
    .map((element) => {
      const [one, other] = [light(getComputedStyle(element).color), light(behind(element))];
      return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    }));
})()"""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
async def test_the_page_in_a_browser(serve_page: ServePage, tmp_path: Path) -> None:
    async with (
        Simulator(callee=Callee(presses="4711#"), speed=20) as space,
        Client("project", "token", space.url) as client,
        client.receiver.serve(),
        browser(tmp_path) as page,
    ):
        site = await serve_page(client, show_private=True)
        await page.open(site.url)
        assert await page.run("document.querySelectorAll('script').length") == 0
        await page.run(f"document.getElementById('token').value = {TOKEN!r}; document.forms[0].submit()")
        await page.loaded()
        await page.until("document.getElementById('status').textContent === 'Live'")
        assert await page.until("!document.getElementById('none').hidden")
        assert await page.run("document.cookie") == "", "no script can read the session"

        call = await client.dial(to="+15550198765", from_="+12069708643")
        await call.answered(timeout=60)
        await page.until("document.querySelector('#calls .state')?.textContent === 'answered'")
        row = await page.run("[...document.querySelectorAll('#calls tr > *')].map((cell) => cell.textContent)")
        assert call.id is not None
        assert row[:5] == [call.id[:8], "outbound", "+12069708643", "+15550198765", "answered"]
        marks = "document.querySelectorAll('#timelines .mark').length"
        before = await page.run(marks)
        await call.collect(digits=Digits(max=4, terminators="#")).finished(timeout=60)
        await page.until(f"{marks} > {before} && document.getElementById('timelines').textContent.includes('4711')")

        inbound = swcalls.InboundCall(call_id=f"<b>x</b>{NASTY}", from_=NASTY, to=NASTY, headers={NASTY: NASTY}, raw={})
        attacker: swcalls.Call = client._engine.adopt(inbound)
        await page.until(f"document.getElementById('calls').textContent.includes({json.dumps(NASTY[:40])})")
        assert await page.run("window.attacked === undefined && !document.querySelector('main :is(img, script, b)')")

        heads = "[...document.querySelectorAll('thead th')].map((head) => head.scope + ':' + head.textContent)"
        assert (await page.run(heads))[0] == "col:Call"
        levels = "[...document.querySelectorAll('h1,h2,h3')].map((head) => head.tagName).join(' ')"
        assert await page.run(levels) == "H1 H2 H2 H3 H3 H2"
        for scheme in ("light", "dark"):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            await page.send("Emulation.setEmulatedMedia", features=features)
            for width in (1280, 830, 390):
                await page.send(
                    "Emulation.setDeviceMetricsOverride",
                    width=width,
                    height=800,
                    deviceScaleFactor=1,
                    mobile=width < 800,
                )
                assert await page.run("document.documentElement.scrollWidth") <= width, "nothing but pictures scrolls"
                assert await page.run(CONTRAST) >= 4.5, (scheme, width)

        await call.end()
        await page.until("document.querySelector('#calls .ended .state')?.textContent.startsWith('ended')")
        # The only complaint of the browser is that it was not signed in at first.
        assert [problem for problem in page.problems if "401" not in problem] == []
        await space.settled()
        del attacker
        await site.runner.cleanup()
        await page.until("document.getElementById('status').textContent.startsWith('No connection')")
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
