"""What only the backplane in PostgreSQL does: its tables, its connections, and a server that dies and comes back."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from hypothesis import settings as settings_of
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from projects import Collector, PostgresProject

from benchmarks.postgres_server import PostgresServer
from swcalls import TTS, Client, ConfigurationError, WebhookReceiver
from swcalls.backplane import (
    BackplaneUnavailable,
    Delivery,
    Memo,
    PostgresBackplane,
    _postgres_readers,
    _postgres_schema,
)
from swcalls.backplane._postgres_readers import _Place

DEEP = max(1, int(float(os.environ.get("SWCALLS_DEEP", "1"))))
FROM, TO = "+12069708643", "+15550198765"


def delivery(key: str, owner: str = "one", body: bytes = b"{}") -> Delivery:
    return Delivery(owner=owner, kind="play", key=key, body=body)


def memo(key: str) -> Memo:
    return Memo(kind="play", key=key, call_key="c", call_id="id")


@pytest.fixture
async def project(
    postgres: PostgresServer, prefix: str, nothing_is_left_running: None
) -> AsyncIterator[PostgresProject]:
    project = PostgresProject(postgres.url, prefix)
    yield project
    postgres.go_on()
    postgres.start()
    await project.close()


async def publish(front: PostgresBackplane, what: Delivery) -> None:
    """Publish until it is stored, as the platform does that sends a refused webhook again."""
    while True:
        try:
            return await front.publish("project", what)
        except BackplaneUnavailable:
            await asyncio.sleep(0)


async def terminate(project: PostgresProject) -> None:
    """Let the server end all connections but that of the test."""
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'swcalls'"
    await project.look(ended)


async def test_a_notification_wakes_the_reader(project: PostgresProject) -> None:
    one, front, collector = project.member("one"), project.member("front"), Collector()
    # It would look by itself in a minute only.
    one._readers._patience = 120.0
    await collector.open(one)
    while not one._readers.link.is_connected or one._readers.link.queue.is_busy:
        await asyncio.sleep(0)
    for key in ("a", "b", "c"):
        await front.publish("project", delivery(key))
        assert (await collector.got.get()).key == key


async def test_a_lost_connection_is_made_again_and_what_came_in_between_is_read(project: PostgresProject) -> None:
    one, front, collector = project.member("one"), project.member("front"), Collector()
    await collector.open(one)
    for key in ("a", "b", "c"):
        await terminate(project)
        await publish(front, delivery(key))
        assert (await collector.got.get()).key == key
        await one.remember(memo(key))
    one._memos.catch_up()
    assert await project.memos(one) == {"play/a", "play/b", "play/c"}


async def test_a_question_on_a_connection_that_was_cut_is_asked_again(project: PostgresProject) -> None:
    one = project.member("one")
    await Collector().open(one)
    for number in range(5):
        await terminate(project)
        assert await one.announce_call("project", f"in-{number}", 60) is None
        assert await one.take_call("project", f"in-{number}", "one") == "one"


async def test_a_server_that_dies_and_comes_back_has_lost_nothing(
    project: PostgresProject, postgres: PostgresServer
) -> None:
    one, front, collector = project.member("one", patience=0.5), project.member("front", patience=0.3), Collector()
    await collector.open(one)
    await one.remember(memo("before"))
    await front.publish("project", delivery("gone", "two"))
    postgres.kill()
    with pytest.raises(BackplaneUnavailable, match="reached"):
        await front.publish("project", delivery("refused"))
    await one.remember(memo("meanwhile"))
    with pytest.raises(BackplaneUnavailable):
        await one.dead()
    postgres.start()
    await publish(front, delivery("a"))
    assert (await collector.got.get()).key == "a"
    one._memos.catch_up()
    project._look = None
    assert await project.memos(one) == {"play/before", "play/meanwhile"}
    assert await project.deliveries("two") == ["gone"]


async def test_a_worker_that_died_with_actions_has_a_successor(
    space, project: PostgresProject, postgres: PostgresServer
) -> None:
    front = project.member("front", patience=0.5)
    receiver = WebhookReceiver("project", "token", backplane=front)
    async with receiver.serve() as serving:
        settings: dict[str, Any] = {"public_url": serving.url}
        first = project.member("one")
        client = Client("project", "token", space.url, backplane=first, **settings)
        await client.open()
        call = await client.dial(to=TO, from_=FROM)
        for key in ("a", "b"):
            await call.play(TTS("a secret text"), control_id=key, deadline=100)
        values = await project.look("SELECT value FROM {schema}.memos")
        assert len(values) == 3
        assert not any(b"secret" in row[0] for row in values)
        await project.crash(first)
        postgres.kill()
        urls = {c["params"]["control_id"]: c["params"]["status_url"] for c in space.commands if "play" in c["command"]}
        assert await space.post(urls["a"], {"control_id": "a", "state": "finished"}) == 503
        postgres.start()
        project._look = None
        await project.bury(first)
        while await space.post(urls["a"], {"control_id": "a", "state": "finished"}) != 200:
            pass
        async with Client("project", "token", space.url, backplane=project.member("two"), **settings) as heir:
            found = {action.control_id: action async for action in heir.recover("one")}
            assert sorted(found) == ["a", "b"]
            await found["a"].finished(timeout=10)
            assert await space.post(urls["b"], {"control_id": "b", "state": "finished"}) == 200
            await found["b"].finished(timeout=10)
            assert found["a"].call.id == call.id
        await client.close()


async def test_a_server_that_answers_nothing_is_given_up_in_time(
    project: PostgresProject, postgres: PostgresServer
) -> None:
    one, collector = project.member("one", patience=0.3), Collector()
    await collector.open(one)
    postgres.pause()
    with pytest.raises(BackplaneUnavailable, match="gave no answer"):
        await one.publish("project", delivery("a"))
    with pytest.raises(BackplaneUnavailable, match="answer"):
        await one.dead()
    await one.close()
    assert not one._link.is_connected
    assert not one._readers.link.is_connected


async def test_many_processes_make_the_tables_at_the_same_time(project: PostgresProject) -> None:
    members = [project.member(f"worker-{number}") for number in range(6)]
    await asyncio.gather(*(Collector().open(member) for member in members), *(member.migrate() for member in members))
    assert [tuple(row) for row in await project.look("SELECT version FROM {schema}.format")] == [(1,)]


async def test_without_the_right_to_make_tables_they_are_missing_until_somebody_makes_them(
    project: PostgresProject,
) -> None:
    one, collector = project.member("one", create=False), Collector()
    with pytest.raises(BackplaneUnavailable, match=r"are missing: run migrate\(\)"):
        await collector.open(one)
    with pytest.raises(BackplaneUnavailable, match="are missing"):
        await project.member("front", create=False).publish("project", delivery("a"))
    await one.migrate()
    await collector.open(one)
    await project.member("front", create=False).publish("project", delivery("a"))
    assert (await collector.got.get()).key == "a"


async def test_a_user_with_the_fewest_rights_can_do_everything_but_make_tables(
    project: PostgresProject, postgres: PostgresServer
) -> None:
    role = f"limited_{project._schema}"
    url = postgres.url.replace("postgres@", f"{role}@")
    await project.look(f"CREATE ROLE {role} LOGIN")
    try:
        one = PostgresBackplane(url, owner="one", schema=project._schema)
        with pytest.raises(BackplaneUnavailable, match="permission denied"):
            await Collector().open(one)
        await project.member("admin").migrate()
        await project.look(f"GRANT USAGE ON SCHEMA {{schema}} TO {role}")
        await project.look(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {{schema}} TO {role}")
        collector = await Collector().open(one)
        await one.publish("project", delivery("a"))
        assert (await collector.got.get()).key == "a"
        await one.remember(memo("a"))
        assert [found.key for found in await one.remembered("one")] == ["a"]
        one.offer(takes_calls=True)
        await one.announce_call("project", "in-1", 60)
        assert await one.take_call("project", "in-1", "one") == "one"
        assert await one.taker("project") == "one"
        assert await one.dead() == []
        await one._names.sweep()
        await one.close()
    finally:
        await project.look(f"DROP OWNED BY {role}")
        await project.look(f"DROP ROLE {role}")


async def test_older_tables_are_upgraded_and_newer_ones_are_refused(
    project: PostgresProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = project.member("one")
    await Collector().open(first)
    await first.remember(memo("a"))
    await first.close()
    steps = (*_postgres_schema.MIGRATIONS, "ALTER TABLE {schema}.memos ADD COLUMN note text")
    with monkeypatch.context() as patched:
        patched.setattr(_postgres_schema, "MIGRATIONS", steps)
        careful = project.member("one", create=False)
        with pytest.raises(BackplaneUnavailable, match="format 1, and this version of swcalls needs 2"):
            await Collector().open(careful)
        newer = project.member("one")
        await Collector().open(newer)
        assert [found.key for found in await newer.remembered("one")] == ["a"]
        assert await project.look("SELECT note FROM {schema}.memos")
        await newer.close()
    for method in (lambda late: Collector().open(late), lambda late: late.migrate()):
        with pytest.raises(
            BackplaneUnavailable, match="format 2, and this version of swcalls knows 1 at most: upgrade"
        ):
            await method(project.member("one"))


async def test_a_full_inbox_refuses_and_loses_nothing(project: PostgresProject) -> None:
    front = project.member("front", capacity=3)
    results = await asyncio.gather(
        *(front.publish("project", delivery(str(number), "gone")) for number in range(5)), return_exceptions=True
    )
    assert [str(result) for result in results if result] == 2 * [
        "the deliveries of owner 'gone' have reached their capacity: it is full"
    ]
    assert await project.deliveries("gone") == ["0", "1", "2"]
    assert (front.published, front.refused) == (3, 2)
    await front.publish("project", delivery("a", "another"))


async def test_what_postgres_does_not_store_harms_nothing_that_was_sent_with_it(project: PostgresProject) -> None:
    one, front, collector = project.member("one"), project.member("front", patience=0.3), Collector()
    await collector.open(one)
    results = await asyncio.gather(
        *(front.publish("project", delivery(key)) for key in ("a", "b\0", "c")), return_exceptions=True
    )
    assert [type(result) for result in results if result] == [BackplaneUnavailable]
    assert {(await collector.got.get()).key for _ in range(2)} == {"a", "c"}
    await asyncio.gather(*(one.remember(memo(key)) for key in ("a", "b\0", "c")))
    assert await project.memos(one) == {"play/a", "play/c"}


async def test_what_has_expired_is_deleted(project: PostgresProject) -> None:
    one, two, front = project.member("one"), project.member("two"), project.member("front", keep=0.001)
    await Collector().open(one)
    await Collector().open(two)
    await front.publish("project", delivery("a", "gone"))
    await two.remember(memo("a"))
    await one.remember(memo("b"))
    await two.announce_call("project", "in-1", 0.001)
    await project.crash(two)
    await project.look("UPDATE {schema}.owners SET expires = now()")
    await project.bury(two)
    await one._names.sweep()
    assert await project.look("SELECT FROM {schema}.deliveries") == []
    assert await project.look("SELECT FROM {schema}.calls") == []
    assert await project.memos(one, "two") == set()
    assert [row[0] for row in await project.look("SELECT owner FROM {schema}.owners")] == ["one"]
    assert await project.memos(one) == {"play/b"}
    await one.announce_call("project", "in-2", 0.001)
    await one._names.sweep()
    assert len(await project.look("SELECT FROM {schema}.calls")) == 1, "it is not searched for all the time"


async def test_a_process_that_ends_with_nothing_left_leaves_nothing(project: PostgresProject) -> None:
    one, two = project.member("one"), project.member("two")
    await Collector().open(one)
    await Collector().open(two)
    await two.remember(memo("a"))
    await one.close()
    await two.close()
    assert [row[0] for row in await project.look("SELECT owner FROM {schema}.owners")] == ["two"]


async def test_it_works_on_a_pool_of_the_user_and_leaves_that_open(
    project: PostgresProject, postgres: PostgresServer
) -> None:
    async with asyncpg.create_pool(postgres.url, min_size=0, max_size=4) as pool:
        one = PostgresBackplane(pool, owner="one", schema=project._schema)
        collector = await Collector().open(one)
        await one.publish("project", delivery("a"))
        assert (await collector.got.get()).key == "a"
        await one.migrate()
        await one.close()
        assert await pool.fetchval("SELECT 1") == 1
        assert await pool.fetchval("SHOW enable_seqscan") == "on"


class Transactions(RuleBasedStateMachine):
    """Deliveries get ids in order, and are stored in any order, within ten seconds; each is read once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.place = _Place(0.0)
        self.last = 0
        self.begun: list[int] = []
        self.stored: set[int] = set()
        self.created: dict[int, float] = {}
        self.read: list[int] = []

    @rule(count=st.integers(1, 7))
    def begin(self, count: int) -> None:
        for _ in range(count):
            self.last += 1
            self.begun.append(self.last)
            self.created[self.last] = self.now

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        self.stored.add(self.begun.pop(data.draw(st.integers(0, len(self.begun) - 1))))

    @rule()
    def look(self) -> None:
        seen = set(self.place.seen())
        ids = sorted(number for number in self.stored if number > self.place.after and number not in seen)[:3]
        age = self.place.age(self.now)
        rows = [{"id": number, "is_old": self.now - self.created[number] > age} for number in ids]
        self.read += ids
        self.place.passed(rows, self.now)

    @precondition(lambda self: self.read)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(self.read))
        self.stored.discard(number)
        self.place.forget([number], None)

    @rule(seconds=st.sampled_from([0.5, 9.0, 30.0, 61.0, 200.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        # Whatever lasts longer was refused.
        late = [number for number in self.begun if self.now - self.created[number] > 10]
        self.stored.update(late)
        self.begun = [number for number in self.begun if number not in late]
        self.created = {
            number: at for number, at in self.created.items() if number in self.stored or number in self.begun
        }

    def teardown(self) -> None:
        self.stored.update(self.begun)
        before = -1
        while before != len(self.read) or self.place.is_behind:
            before = len(self.read)
            self.look()
        assert sorted(self.read) == list(range(1, self.last + 1))
        self.wait(61.0)
        self.look()
        self.wait(61.0)
        self.look()
        assert self.place.seen() == [], "nothing is looked at again for ever"


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_postgres_readers, "PAGE", 3)


TestTransactions = Transactions.TestCase
TestTransactions.settings = settings_of(max_examples=20 * DEEP, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"owner": "a/b"}, "owner"),
        ({"owner": ""}, "owner"),
        ({"schema": ""}, "schema"),
        ({"schema": 'a"; DROP TABLE x; --'}, "schema"),
        ({"schema": "pg_catalog"}, "schema"),
        ({"schema": "a" * 64}, "schema"),
        ({"lifetime": 0}, "lifetime"),
        ({"capacity": -1}, "capacity"),
        ({"postgres": "mysql://user:a-password@host"}, "postgres must be a URL"),
        ({"postgres": None}, "postgres must be a URL"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named) as refused:
        PostgresBackplane(**{"postgres": "postgresql://127.0.0.1", **settings})
    assert "a-password" not in str(refused.value)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "host:not-a-port", "127.0.0.1:1/x?sslmode=nonsense", "a/b@c"])
async def test_no_password_is_shown(address: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    backplane = PostgresBackplane(f"postgresql://user:a-pass/word@{address}", owner="one", patience=0.2)
    shown = repr(backplane)
    for attempt in (
        lambda: backplane.publish("project", delivery("a")),
        backplane.migrate,
        lambda: Collector().open(backplane),
    ):
        with pytest.raises(BackplaneUnavailable) as refused:
            await attempt()
        shown += f"{refused.value!r} {refused.value.__cause__!r}"
    await backplane.close()
    assert "a-pass" not in shown + caplog.text
    assert "word" not in shown + caplog.text


async def test_a_backplane_that_is_closed_publishes_nothing(project: PostgresProject) -> None:
    front = project.member("front")
    await front.publish("project", delivery("a"))
    await front.close()
    with pytest.raises(BackplaneUnavailable, match="closed"):
        await front.publish("project", delivery("b"))
    with pytest.raises(BackplaneUnavailable, match="closed"):
        await front.taker("project")
    assert not front._link.is_connected


def test_where_no_loop_runs_it_can_be_offered_all_the_same() -> None:
    backplane = PostgresBackplane("postgresql://127.0.0.1", owner="one")
    backplane.offer(takes_calls=True)
    backplane.offer(takes_calls=False)
