"""Ids that are made here: UUIDs, all different, in a child too."""

from __future__ import annotations

import os
import random
import uuid

import pytest

from swcalls._engine.ids import new_id


def test_an_id_is_a_random_uuid() -> None:
    for _ in range(100):
        made = uuid.UUID(new_id())
        assert (made.version, made.variant) == (4, uuid.RFC_4122)
    assert len({new_id() for _ in range(10_000)}) == 10_000


def test_whoever_seeds_the_module_random_does_not_repeat_ids() -> None:
    random.seed(1)
    first = new_id()
    random.seed(1)
    assert new_id() != first


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_makes_ids_of_its_own() -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, new_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 100).decode()
    os.close(read)
    os.close(write)
    assert theirs != new_id()
    assert uuid.UUID(theirs).version == 4
