"""Which cases there are: each step of each flow, cancelled; each request, webhook, question and backplane operation, broken."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache

from . import flows
from .audio import AUDIO_FAULTS
from .space import BACKPLANE_FAULTS, LOG_FAULTS, REQUEST_FAULTS, WEBHOOK_FAULTS
from .stage import FLOWS, Case, Mode, Report, When, perform

assert len(FLOWS) == flows.FLOW_COUNT

WHENS: tuple[When, ...] = ("at once", "too late")
_FAULTS = {
    "request": REQUEST_FAULTS,
    "webhook": WEBHOOK_FAULTS,
    "log": LOG_FAULTS,
    "backplane": BACKPLANE_FAULTS,
    "audio": AUDIO_FAULTS,
}
AFTER = (1, 2, 5)
"""How many steps after the first cancellation the second one comes."""


@cache
def undisturbed(case: Case) -> Report:
    """Run *case*, in which nothing happens, to learn how long it is."""
    return perform(case)


def modes(flow: str) -> Iterator[Mode]:
    """Say in which ways *flow* can be struck."""
    yield "inside"
    yield "whole"
    if not FLOWS[flow].owns_client:
        yield "closed"
    if FLOWS[flow].takes_calls:
        yield "handler"


def plain(flow: str) -> list[Case]:
    """Return the cases in which nothing goes wrong."""
    return [Case(flow, mode) for mode in modes(flow) if mode != "closed"]


def cancelled(flow: str, mode: Mode) -> list[Case]:
    """Return a case for each step of *flow*."""
    steps = undisturbed(Case(flow, mode)).steps
    return [Case(flow, mode, ((step, when),)) for step in range(1, steps + 1) for when in WHENS]


def cancelled_twice(flow: str, mode: Mode) -> list[Case]:
    """Return cases in which a second cancellation meets what the first one has begun."""
    steps = undisturbed(Case(flow, mode)).steps
    return [
        Case(flow, mode, ((step, when), (step + after, "at once")))
        for step in range(1, steps + 1)
        for when in WHENS
        for after in AFTER
    ]


def broken(flow: str) -> list[Case]:
    """Return a case for each thing on each channel that can go wrong in *flow*, whether or not its webhooks come."""
    cases = []
    for deaf in (False, True):
        counts = undisturbed(Case(flow, deaf=deaf)).counts
        if deaf:
            cases.append(Case(flow, deaf=True))
        cases += [
            Case(flow, faults=((channel, number, fault),), deaf=deaf)
            for channel, kinds in _FAULTS.items()
            if channel != "webhook" or not deaf
            for number in range(1, counts.get(channel, 0) + 1)
            for fault in kinds
        ]
    return cases


def combined(flow: str, number: int, seed: int) -> list[Case]:
    """Return *number* cases in which *flow* is cancelled, and something breaks as well; drawn by chance."""
    dice = random.Random(f"{seed} {flow}")
    plain = undisturbed(Case(flow))
    things = [(channel, count) for channel, count in plain.counts.items() if channel in _FAULTS]
    if not plain.steps or not things:
        return []
    cases = []
    for _ in range(number):
        channel, count = dice.choice(things)
        # What is tidied up comes after what the plain flow sends.
        fault = (channel, dice.randint(1, count + 2), dice.choice(_FAULTS[channel]))
        cases.append(Case(flow, "inside", ((dice.randint(1, plain.steps), dice.choice(WHENS)),), (fault,)))
    return cases


def sample(cases: list[Case], most: int | None, seed: int) -> list[Case]:
    """Return *most* of *cases*, by chance, or all of them."""
    if most is None or len(cases) <= most:
        return cases
    chosen = random.Random(f"{seed} {cases[0].flow} {cases[0].mode}").sample(range(len(cases)), most)
    return [cases[number] for number in sorted(chosen)]


def troubles(cases: Iterable[Case]) -> list[Report]:
    """Run *cases*, and return the reports of those in which something was wrong."""
    return [report for case in cases if (report := perform(case)).trouble]


def told(reports: list[Report], tried: int, seed: int) -> str:
    """Tell of *reports* what was wrong, the same trouble once, with one case for each and how to run that alone."""
    by_trouble: dict[str, list[Report]] = defaultdict(list)
    for report in reports:
        for trouble in report.trouble:
            by_trouble[_without_ids(trouble)].append(report)
    lines = [f"{len(reports)} of {tried} cases (seed {seed}) went wrong:"]
    for trouble, its in sorted(by_trouble.items(), key=lambda item: -len(item[1])):
        lines += [f"* {trouble} ({len(its)} cases)", f"    CASE: '{its[0].case}'"]
        lines += [f"    struck in {where}" for where in its[0].where]
    lines.append("Run one alone: PYTHONPATH=.:tests/exhaustive python -m simulation CASE")
    return "\n".join(lines)


def _without_ids(text: str) -> str:
    return re.sub(r"0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d+\.\d+", "…", text)
