"""Makes the `Sender` of a `RedisBackplane` from a URL or a client: of one server, of Sentinels, or of a cluster."""

from __future__ import annotations

import re
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import ConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from ..errors import ConfigurationError
from ._batch import Batch, Sender
from ._cluster import Address, Cluster

_SEVERAL = re.compile(
    r"(?P<scheme>rediss?)\+(?P<kind>cluster|sentinel)://"
    r"(?P<user>[^@/?]*@)?(?P<hosts>[^/?]+)(?P<path>/[^?]*)?(?P<query>\?.*)?\Z"
)
_SCHEMES = (
    "redis://, rediss:// or unix://, or redis+cluster://, rediss+cluster://, redis+sentinel:// or rediss+sentinel://"
)


def connect(redis: str | Redis | RedisCluster, patience: float, replicas: int) -> Sender:
    """Return the `Sender` for *redis*. It does not connect yet.

    Raises:
        ConfigurationError: *redis* is a URL that cannot be understood. The text does not repeat it: it may be secret.
    """
    batch = partial(Batch, replicas=replicas, confirm=patience / 4)
    if isinstance(redis, RedisCluster):
        found = [(node.host, int(node.port)) for node in redis.nodes_manager.startup_nodes.values()]
        settings = dict(redis.get_connection_kwargs())
        remap = getattr(redis.nodes_manager, "address_remap", None)
        return _cluster(found, settings.pop("connection_class", None), settings, patience, batch, remap)
    if not isinstance(redis, str):
        return batch(redis)
    timeouts: dict[str, Any] = {
        "socket_timeout": patience / 2,
        "socket_connect_timeout": patience / 2,
        # One retry, since an idle connection may have been closed. Further retries are made by the backplane.
        "retry": Retry(NoBackoff(), 1),
    }
    several = _SEVERAL.match(redis)
    try:
        if several is None:
            return batch(Redis.from_url(redis, **timeouts), ())
        scheme, user, query = several["scheme"], several["user"] or "", several["query"] or ""
        default = 6379 if several["kind"] == "cluster" else 26379
        hosts = [_address(host, default) for host in several["hosts"].split(",")]
        # The client reads user, password and options from the URL of one server.
        pool = ConnectionPool.from_url(f"{scheme}://{user}host{query}", **timeouts)
    except ValueError as fault:
        what = "is no URL of Redis" if "scheme" in str(fault) else f"is wrong: {fault}"
        raise ConfigurationError(f"redis= {what}; it must begin with {_SCHEMES}") from None
    settings = {name: value for name, value in pool.connection_kwargs.items() if name not in {"host", "port"}}
    if several["kind"] == "cluster":
        return _cluster(hosts, pool.connection_class, settings, patience, batch)
    name, _, database = (several["path"] or "").strip("/").partition("/")
    if not name or not (database or "0").isdigit():
        message = "redis= must name the master that the Sentinels watch: redis+sentinel://HOST,HOST/NAME or …/NAME/DB"
        raise ConfigurationError(message)
    tls = {"ssl": True} if issubclass(pool.connection_class, SSLConnection) else {}
    of_sentinels = {key: value for key, value in settings.items() if key.startswith(("socket_", "ssl_"))} | tls
    sentinel: Any = Sentinel(  # type: ignore[no-untyped-call]
        hosts, sentinel_kwargs=of_sentinels, **settings, **tls
    )
    return batch(sentinel.master_for(unquote(name), db=int(database or 0)), tuple(sentinel.sentinels))


def _cluster(
    seeds: list[Address], connection: Any, settings: dict[str, Any], patience: float, batch: Any, remap: Any = None
) -> Cluster:
    # What concerns the client of a whole cluster, or its number of connections, is not for a connection.
    for name in ("response_callbacks", "max_connections", "db"):
        settings.pop(name, None)
    kind = {} if connection is None else {"connection_class": connection}

    def make(host: str, port: int) -> Batch:
        pool = ConnectionPool(host=host, port=port, **kind, **settings)
        made: Batch = batch(Redis.from_pool(pool), ())
        return made

    return Cluster(seeds, make, patience / 2, remap)


def _address(text: str, default: int) -> Address:
    parts = urlsplit(f"//{text}")
    if parts.hostname is None:
        raise ValueError("a host is missing")
    return parts.hostname, parts.port or default
