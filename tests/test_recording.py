"""Recording deliveries: what is written, what is masked, what a full or failing disk does, and how it is read again."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import stat
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

import swcalls
from swcalls import TTS, Call, Client, Limits, Recorder, WebhookReceiver
from swcalls.receiver import ObservingReceiver
from swcalls.recording import Recorded, RecordingError, read_recording

BASE = "https://hooks.example.com"


def make(**settings: Any) -> WebhookReceiver:
    return ObservingReceiver("project", "token", public_url=settings.pop("public_url", BASE), **settings)


def path_of(receiver: WebhookReceiver, kind: str = "play", key: str = "k") -> str:
    return receiver._ingress.reader.urls.mint(kind, key).removeprefix(BASE)


def send(receiver: WebhookReceiver, body: bytes = b'{"state":"playing"}', **headers: str) -> int:
    return receiver._ingress.accept_now(path_of(receiver), headers, body).status


def lines(file: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "incident.jsonl"


class Disk:
    """A file that takes *takes* bytes of the next writes each, or fails."""

    def __init__(self, file: Any, *takes: int | OSError) -> None:
        self._file = file
        self._takes = list(takes)

    def write(self, data: bytes) -> int:
        take = self._takes.pop(0) if self._takes else len(data)
        if isinstance(take, OSError):
            raise take
        return self._file.write(data[:take])

    def close(self) -> None:
        self._file.close()


# What is written


def test_a_delivery_is_one_line(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swcalls.recording.time", SimpleNamespace(time=lambda: 1777565746.5))
    receiver = make()
    headers = {
        "content-type": "application/json",
        "USER-AGENT": "SignalWire",
        "x-signalwire-signature": "0a",
        "X-SignalWire-SHA256-Signature": "0b",
        "Authorization": "Basic secret",
        "Cookie": "secret",
    }
    with receiver.record(file) as recorder:
        receiver._ingress.accept_now(path_of(receiver), headers, '{"state":"playing","text":"ü\u2028"}'.encode())
    assert file.read_text(encoding="utf-8") == (
        '{"time":1777565746.5,"path":"/swcalls/play/k/***","headers":{"Content-Type":"application/json",'
        '"User-Agent":"SignalWire","X-SignalWire-Signature":"0a","X-SignalWire-SHA256-Signature":"0b"},'
        '"body":"{\\"state\\":\\"playing\\",\\"text\\":\\"ü\u2028\\"}","verdict":"early","status":200}\n'
    )
    assert (recorder.written, recorder.dropped) == (1, 0)


def test_each_verdict_is_recorded_in_its_turn(file: Path) -> None:
    receiver = make()
    with receiver.record(file):
        send(receiver)
        send(receiver, b"[")
        send(receiver, b'{"control_id":"other"}')
        receiver._ingress.accept_now("/swcalls/play/k/x", {}, b"{}")
    assert [(line["verdict"], line["status"]) for line in lines(file)] == [
        ("early", 200),
        ("malformed", 400),
        ("foreign", 403),
        ("forged", 403),
    ]


@given(body=st.binary(max_size=200))
def test_a_body_is_read_again_as_it_came(body: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("recording") / "incident.jsonl"
    receiver = make()
    with receiver.record(file):
        send(receiver, body)
    assert [delivery.body for delivery in read_recording(file)] == [body]


def test_a_body_that_is_no_text_is_in_base64(file: Path) -> None:
    receiver = make()
    with receiver.record(file):
        send(receiver, b"\xff\x00")
    (line,) = lines(file)
    assert line["body_base64"] == "/wA="
    assert "body" not in line


def test_what_cannot_be_written_in_utf_8_is_escaped(file: Path) -> None:
    receiver = make()
    with receiver.record(file) as recorder:
        receiver._ingress.accept_now("/swcalls/play/\udcff/x", {"User-Agent": "a\udcff"}, b"{}")
    assert recorder.written == 1
    assert lines(file)[0]["path"] == r"/swcalls/play/\udcff/***"
    assert lines(file)[0]["headers"] == {"User-Agent": r"a\udcff"}


def test_of_a_header_that_came_twice_the_first_counts(file: Path) -> None:
    from multidict import CIMultiDict

    receiver = make()
    with receiver.record(file):
        receiver._ingress.accept_now(path_of(receiver), CIMultiDict([("user-agent", "a"), ("User-Agent", "b")]), b"{}")
    assert lines(file)[0]["headers"] == {"User-Agent": "a"}


@pytest.mark.parametrize(
    ("public_url", "came", "recorded"),
    [
        (BASE, "/swcalls/play/k/{mac}", "/swcalls/play/k/***"),
        (BASE, "/swcalls/play/k/{mac}?{mac}", "/swcalls/play/k/***"),
        (BASE, "/swcalls/play/k/{mac}/", "/swcalls/play/k/***"),
        (BASE, "/swcalls/play/k/x/{mac}", "/swcalls/play/k/***"),
        (BASE, "/swcalls/play/{mac}", "/swcalls/play/***"),
        (BASE, "/swcalls/{mac}", "/swcalls/***"),
        (BASE, "/api/swcalls/play/k/{mac}", "/api/swcalls/play/k/***"),
        (BASE, "/play/k/{mac}", "/***"),
        (BASE, "{mac}", "/***"),
        (BASE, "/swcalls/play?{mac}/k", "/swcalls/***"),
        (BASE, "/x?/swcalls/{mac}/k/x", "/***"),
        (BASE, "", "/***"),
        (f"{BASE}/swcalls", "/swcalls/swcalls/play/k/{mac}", "/swcalls/swcalls/play/k/***"),
        (f"{BASE}/hooks", "/swcalls/play/k/{mac}", "/swcalls/play/k/***"),
    ],
)
def test_the_mac_of_a_url_is_nowhere_in_a_recording(file: Path, public_url: str, came: str, recorded: str) -> None:
    receiver = make(public_url=public_url)
    mac = path_of(receiver).rpartition("/")[2]
    with receiver.record(file):
        receiver._ingress.accept_now(came.format(mac=mac), {}, b"{}")
    assert lines(file)[0]["path"] == recorded
    assert mac not in file.read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="files have other permissions there")
def test_a_new_file_is_for_its_owner_only(file: Path) -> None:
    make().record(file).close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_body_that_nobody_vouches_for_is_kept_only_if_it_is_small(file: Path) -> None:
    receiver = make(limits=Limits(body=50_000))
    small, large, huge = b"x" * 16_384, b"x" * 16_385, b"x" * 50_001
    with receiver.record(file):
        for path, body in (("/swcalls/a/b/c", small), ("/swcalls/a/b/c", large), (path_of(receiver), huge)):
            receiver._ingress.accept_now(path, {}, body)
        send(receiver, large)
    assert [(one.verdict, one.body) for one in read_recording(file)] == [
        ("forged", small),
        ("forged", None),
        ("oversized", None),
        ("malformed", large),
    ]


async def test_a_request_that_is_not_read_to_its_end_is_recorded_without_a_body(space, connect, file: Path) -> None:
    client = await connect(limits=Limits(body=1000))
    url = client._engine.urls.mint("play", "k")
    host, _, port = client._engine.urls.public_url.removeprefix("http://").partition(":")
    with client.receiver.record(file):
        assert await space.post(url, b"x" * 1001) == 413
        refused = asyncio.Event()
        client._engine.ingress.observers.append(lambda receipt: refused.set())
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"POST {url.partition(port)[2]} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        await refused.wait()
    assert [(one.path, one.body, one.verdict, one.status) for one in read_recording(file)] == [
        ("/swcalls/play/k/***", None, "oversized", 413),
        ("/swcalls/play/k/***", None, "malformed", 400),
    ]


async def test_what_settles_an_action_is_recorded_too(space, call: Call, client: Client, file: Path) -> None:
    with client.receiver.record(file) as recorder:
        assert isinstance(recorder, Recorder)
        play = await call.play(TTS("Hi"))
        assert await space.tell("calling.play", state="finished") == 200
        await play.finished()
        await client.accept(path="/nowhere", headers={}, body=b"")
    assert await space.tell("calling.play", state="finished") == 200
    assert [(one.verdict, one.path) for one in read_recording(file)] == [
        ("applied", f"/swcalls/play/{play.control_id}/***"),
        ("forged", "/***"),
    ]


# Opening and closing


def test_a_recording_goes_on_where_it_was(file: Path) -> None:
    for _ in range(2):
        receiver = make()
        with receiver.record(str(file)):
            send(receiver)
    assert [delivery.line for delivery in read_recording(file)] == [1, 2]


def test_a_recording_goes_on_below_a_line_that_was_cut_off(file: Path) -> None:
    file.write_text('{"time":1.0,"pa')
    receiver = make()
    with receiver.record(file):
        send(receiver)
        send(receiver)
    first, *rest = file.read_bytes().splitlines()
    assert first == b'{"time":1.0,"pa'
    assert [msgspec.json.decode(line)["verdict"] for line in rest] == ["early", "early"]


def test_after_its_end_nothing_is_recorded(file: Path, tmp_path: Path) -> None:
    receiver = make()
    other = receiver.record(tmp_path / "other.jsonl")
    recorder = receiver.record(file)
    send(receiver)
    recorder.close()
    recorder.close()
    send(receiver)
    other.close()
    assert (recorder.written, other.written) == (1, 2)
    assert receiver._ingress.recorders == []


def test_a_file_that_cannot_be_opened_is_an_os_error_and_nothing_is_left(tmp_path: Path) -> None:
    receiver = make()
    with pytest.raises(OSError, match="nowhere"):
        receiver.record(tmp_path / "nowhere" / "incident.jsonl")
    with pytest.raises(OSError, match=str(tmp_path.name)):
        receiver.record(tmp_path)
    assert receiver._ingress.recorders == []


def test_a_file_that_cannot_be_looked_into_is_closed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("x")
    opened: list[Any] = []

    def fail(recorder: Recorder) -> bool:
        opened.append(recorder._file)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Recorder, "_ends_with_newline", fail)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        make().record(file)
    assert opened[0].closed


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, None])
def test_a_limit_is_a_whole_number(file: Path, limit: Any) -> None:
    with pytest.raises(ValueError, match=r"limit=.* must be a whole number greater than 0"):
        make().record(file, limit=limit)
    assert not file.exists()


def test_the_recorder_is_public() -> None:
    assert swcalls.Recorder is Recorder


# Full and failing disks


def test_a_recording_is_bounded_and_has_no_gaps(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    receiver = make()
    with receiver.record(file):
        send(receiver)
        send(receiver)
    size = file.stat().st_size
    with caplog.at_level(logging.WARNING, "swcalls.recording"), receiver.record(file, limit=2 * size + 20) as recorder:
        send(receiver)
        send(receiver, b'{"state":"playing", "x":"%s"}' % (b"x" * 100))
        send(receiver, b"{}")
        assert send(receiver) == 200
    assert (recorder.written, recorder.dropped) == (1, 3)
    assert len(lines(file)) == 3
    assert [record.message for record in caplog.records] == [
        f"recording {str(file)!r}: full: its limit is {2 * size + 20} bytes; further deliveries are not recorded"
    ]


def test_the_limit_is_met_exactly(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swcalls.recording.time", SimpleNamespace(time=lambda: 1.0))
    receiver = make()
    with receiver.record(file) as recorder:
        send(receiver)
    with receiver.record(file, limit=2 * file.stat().st_size) as recorder:
        send(receiver)
        send(receiver)
    assert (recorder.written, recorder.dropped) == (1, 1)


def test_a_disk_that_fails_disturbs_no_answer(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    receiver = make()
    failure = OSError(errno.EIO, os.strerror(errno.EIO))
    with caplog.at_level(logging.WARNING, "swcalls.recording"), receiver.record(file) as recorder:
        recorder._file = Disk(recorder._file, failure, failure)
        assert [send(receiver), send(receiver), send(receiver)] == [200, 200, 200]
    assert (recorder.written, recorder.dropped) == (1, 2)
    assert len(lines(file)) == 1
    (record,) = caplog.records
    assert os.strerror(errno.EIO) in record.message


def test_what_is_written_in_part_is_a_line_of_its_own(file: Path) -> None:
    receiver = make()
    with receiver.record(file) as recorder:
        send(receiver)
        recorder._file = Disk(recorder._file, 10, 0, 1)
        for _ in range(5):
            assert send(receiver) == 200
    assert (recorder.written, recorder.dropped) == (3, 3)
    assert recorder._size == file.stat().st_size
    first, torn, *rest = (line for line in file.read_bytes().splitlines() if line)
    assert torn == first[:10]
    assert [msgspec.json.decode(line)["verdict"] for line in rest] == ["early", "early"]
    with pytest.raises(RecordingError, match=r"incident\.jsonl, line 2: not a delivery: "):
        list(read_recording(file))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_a_disk_that_is_full_disturbs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    receiver = make()
    with caplog.at_level(logging.WARNING, "swcalls.recording"), receiver.record("/dev/full") as recorder:
        assert [send(receiver), send(receiver)] == [200, 200]
    assert (recorder.written, recorder.dropped) == (0, 2)
    (record,) = caplog.records
    assert os.strerror(errno.ENOSPC) in record.message


# Reading

GOOD = '{"time":1.5,"path":"/swcalls/play/k/***","headers":{},"body":"{}","verdict":"early","status":200}\n'


def test_a_recording_is_read_line_by_line(file: Path) -> None:
    file.write_text(GOOD + "\n  \n" + GOOD.replace('"status"', '"news":1,"status"'))
    first, second = read_recording(str(file))
    assert first == Recorded(
        line=1, time=1.5, path="/swcalls/play/k/***", headers={}, body=b"{}", verdict="early", status=200
    )
    assert second.line == 4


@pytest.mark.parametrize(
    ("text", "line", "wrong"),
    [
        (GOOD + "not JSON\n", 2, "JSON is malformed"),
        ("[]\n", 1, "Expected `object`, got `array`"),
        ("{}\n", 1, "missing required field `time`"),
        (GOOD.replace("1.5", '"1.5"'), 1, r"Expected `float`, got `str` - at `\$.time`"),
        (GOOD.replace("1.5", "-1.5"), 1, r"Expected `float` >= 0.0 - at `\$.time`"),
        (GOOD.replace("{},", "[],"), 1, r"at `\$.headers`"),
        (GOOD.replace('"verdict"', '"body_base64":"/w==","verdict"'), 1, "both `body` and `body_base64`"),
        (GOOD.replace('"body":"{}"', '"body_base64":"%"'), 1, "base64"),
        (GOOD + GOOD[:40], 2, "the line is incomplete: delete it to read the lines before it"),
        ('{"x":' + "[" * 100_000 + "\n", 1, "not a delivery"),
        ("\udcff\n", 1, "not a delivery"),
    ],
)
def test_what_is_no_recording_is_said_with_its_line(file: Path, text: str, line: int, wrong: str) -> None:
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(RecordingError, match=rf"incident\.jsonl, line {line}: .*{wrong}"):
        list(read_recording(file))


def test_a_file_that_is_not_there_is_an_os_error(file: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_recording(file))


def test_an_empty_recording_has_no_deliveries(file: Path) -> None:
    file.touch()
    assert list(read_recording(file)) == []
