"""What it costs to hear calls: CPU a frame and streams a core, at the pace of speech; memory; a reader that sleeps."""

from __future__ import annotations

from functools import partial
from typing import Any

from . import report
from .audio_load import FRAMES_A_SECOND, AudioLoad, Brought
from .audio_receivers import MAX_LAG, ByHand, ReadsOnly, Swcalls
from .harness import Measured, Result, Row, Sample, Samples, Size, interleave, ratio, spread
from .party import Party

STREAMS = {"full": 400, "quick": 200, "tiny": 4}
SECONDS = 6.0
HELD = {"full": 500, "quick": 500, "tiny": 20}
"""Of so many streams the memory is told."""

READS, BY_HAND = "aiohttp handler that only reads", "aiohttp handler, json and base64 by hand"
OURS, DECODED = "swcalls, call.listen()", "swcalls, call.listen(), mu-law decoded"
SLEEPS = "swcalls, a reader that sleeps"
SUBJECTS: dict[str, tuple[Any, ...]] = {
    READS: (ReadsOnly,),
    BY_HAND: (ByHand,),
    OURS: (Swcalls, "reads"),
    DECODED: (Swcalls, "decodes"),
}


def run(size: Size) -> Result:
    """Measure it."""
    streams, held = STREAMS[size.name], HELD[size.name]
    parties = {name: Party(subject, *arguments) for name, (subject, *arguments) in SUBJECTS.items()}
    load = Party(AudioLoad, role="load")
    try:
        runs = {name: partial(_hear, party, load, streams, SECONDS * size.share) for name, party in parties.items()}
        samples = interleave(runs, size)
        memory = {name: [_weigh(name, load, held)] for name in SUBJECTS if name != DECODED}
        asleep = _sleep(load, held, seconds=0.2 if size.name == "tiny" else 3 * MAX_LAG)
    finally:
        for party in (*parties.values(), load):
            party.close()
    return report.result(
        "audio",
        "What does it cost to hear a call?",
        size,
        rows=_rows(samples, memory, held),
        measured=[
            *(_measured(name, streams, found) for name, found in samples.items()),
            *(
                Measured(f"{name}, {held} streams", {"KiB a stream": spread(one["memory"] / 1024 for one in found)})
                for name, found in memory.items()
            ),
            Measured(f"{SLEEPS}, {held} streams", {name: spread([value]) for name, value in asleep.items()}),
        ],
        notes=[
            f"Frames of 160 bytes of mu-law, {FRAMES_A_SECOND} a second for each stream, spread evenly, without TLS.",
            (
                "CPU is that of the whole process. swcalls checks each message, counts gaps, bounds what waits, and "
                "hands each frame to a task of the user's; the handlers do all in one task, and hand on nothing."
            ),
            f"A reader that sleeps: what is older than max_lag={MAX_LAG:g} s is dropped, and the socket is still read.",
        ],
    )


def _hear(server: Party, load: Party, streams: int, seconds: float) -> Sample:
    """Bring so many streams and see what they cost the server."""
    load.ask("connect", server.ask("listen", streams))
    # What is new to the processes is not measured.
    first: Brought = load.ask("bring", seconds / 4)
    server.ask("tidy")
    before = server.ask("spent")
    brought: Brought = load.ask("bring", seconds)
    _wait(server, first.frames + brought.frames)
    cpu = server.ask("spent") - before
    load.ask("disconnect")
    server.ask("leave")
    return {"cpu": cpu / brought.frames, "late": brought.latest}


def _wait(server: Party, frames: int) -> None:
    """Wait until all is heard that was brought."""
    for _ in range(1000):
        if server.ask("frames") == frames:
            return
    raise AssertionError(f"{server.ask('frames')} frames were heard, and {frames} brought")


def _weigh(name: str, load: Party, streams: int) -> Sample:
    """See what a process holds with so many streams, and without."""
    subject, *arguments = SUBJECTS[name]
    with Party(subject, *arguments, keep_memory=False) as server:
        before = server.ask("memory")
        load.ask("connect", server.ask("listen", streams))
        brought: Brought = load.ask("bring", 0.2)
        _wait(server, brought.frames)
        sample = {"memory": max(1.0, float(server.ask("memory") - before)) / streams}
        load.ask("disconnect")
        server.ask("leave")
    return sample


def _sleep(load: Party, streams: int, seconds: float) -> dict[str, float]:
    """Bring audio to readers that sleep."""
    with Party(Swcalls, "sleeps", keep_memory=False) as server:
        before = server.ask("memory")
        load.ask("connect", server.ask("listen", streams))
        brought: Brought = load.ask("bring", seconds)
        held = server.ask("memory") - before
        dropped = server.ask("dropped")
        load.ask("disconnect")
    return {
        "seconds brought": seconds,
        "seconds kept": (brought.frames - dropped) / FRAMES_A_SECOND / streams,
        "KiB a stream": held / streams / 1024,
    }


def _rows(samples: Samples, memory: Samples, held: int) -> list[Row]:
    group = "cost a frame, swcalls / the other (less is better)"
    return [
        Row(
            what=OURS,
            against=READS,
            group=group,
            figures={"CPU": ratio(samples, OURS, READS, "cpu")},
            at_most=1.35,
        ),
        Row(
            what=DECODED,
            against=BY_HAND,
            group="cost a frame, by hand / swcalls",
            figures={"CPU": ratio(samples, BY_HAND, DECODED, "cpu")},
            at_least=1.0,
        ),
        Row(
            what="streams a core, frames decoded",
            against="",
            group="streams a core",
            figures={"CPU": spread(1 / (sample["cpu"] * FRAMES_A_SECOND) for sample in samples[DECODED])},
            at_least=900,
            unit="streams",
        ),
        Row(
            what=f"memory of {held} streams",
            against=READS,
            group="memory, swcalls / the other (less is better)",
            figures={"memory": ratio(memory, OURS, READS, "memory")},
        ),
    ]


def _measured(name: str, streams: int, found: list[Sample]) -> Measured:
    return Measured(
        f"{name}, {streams} streams",
        {
            "CPU us a frame": spread(sample["cpu"] * 1e6 for sample in found),
            "streams a core": spread(1 / (sample["cpu"] * FRAMES_A_SECOND) for sample in found),
            "latest frame, ms": spread(sample["late"] * 1e3 for sample in found),
        },
    )


if __name__ == "__main__":
    report.main(run)
