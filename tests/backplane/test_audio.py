"""Audio with several workers: a connection that reaches a worker that does not listen is refused, and the log says why."""

from __future__ import annotations

import pytest
from forking import PIPE
from test_processes import spawn

from swcalls import AudioNotStarted, Client
from swcalls.backplane import RedisBackplane
from swcalls.testing import Callee, Simulator


async def test_a_connection_that_reaches_another_process_is_refused_and_its_log_says_why(
    server, prefix: str, nothing_is_left_running: None
) -> None:
    other = await spawn("front.py", {"owner": "worker-2", "store": server.url, "prefix": prefix}, stdin=PIPE)
    url = (await other.stdout.readline()).decode().strip()
    backplane = RedisBackplane(server.url, owner="worker-1", prefix=prefix)
    async with (
        Simulator(speed=100, callee=Callee(rings_for=0)) as space,
        Client("project", "token", space.url, public_url=url, backplane=backplane) as client,
    ):
        call = await client.dial(to="+15550198765", from_="+12069708643")
        await call.answered(timeout=30)
        with pytest.raises(AudioNotStarted):
            async with call.listen(start_timeout=0.5):
                pass
        assert 409 in space.audio.refused
        # With an address of its own, the same worker hears the same call.
        async with client.receiver.serve() as ours:
            client._engine.listeners._audio_url = ours.url.replace("http://", "ws://")
            async with call.listen(start_timeout=30) as audio:
                assert (await anext(audio)).payload
        await call.end()
    _, log = await other.communicate()
    assert b"an audio connection is refused (409): stream " in log
    assert b"another worker listens to it: 'worker-1'. Pass Client(audio_url=...)" in log
    assert other.returncode == 0
