"""Tests of the `ImageRecord` of `boundary.brokers.docker.images`."""

import json
from pathlib import Path

import pytest

from airlock_daemon.boundary.brokers.docker.images import ImageRecord
from airlock_daemon.errors import Failed
from airlock_daemon.setup.state import State
from airlock_daemon.setup.stored import Secrets

_ID, _OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def test_images_and_their_names_are_there_after_a_restart(tmp_path: Path) -> None:
    """A name is the agent's while it stands for the image that the agent gave it to."""
    state = State(str(tmp_path / "state"))
    record = ImageRecord(state, "my")
    record.note(_ID, name="docker.io/library/a:1")
    record.note(_OTHER, name="docker.io/library/b:1", is_own=False)
    again = ImageRecord(state, "my")
    assert again.ids == {_ID, _OTHER}
    assert again.names == {"docker.io/library/a:1", "docker.io/library/b:1"}
    assert again.gave("docker.io/library/a:1", _ID)
    assert not again.gave("docker.io/library/a:1", _OTHER)
    assert not again.gave("docker.io/library/b:1", _OTHER)
    again.forget_name("docker.io/library/a:1")
    assert not ImageRecord(state, "my").gave("docker.io/library/a:1", _ID)
    assert ImageRecord(state, "other").ids == set()


def test_the_record_goes_with_its_agent(tmp_path: Path) -> None:
    """Whoever notices the removal: the daemon, or the command where none runs."""
    state = State(str(tmp_path / "state"))
    for remove in (lambda record: record.forget_all(), lambda _: Secrets(state).forget_agent("my")):
        record = ImageRecord(state, "my")
        record.note(_ID)
        remove(record)
        assert ImageRecord(state, "my").ids == set()


def test_a_record_that_cannot_be_read_grants_nothing(tmp_path: Path) -> None:
    """Its message says what to do."""
    state = State(str(tmp_path / "state"))
    ImageRecord(state, "my").note(_ID)
    (tmp_path / "state/docker/my.images").write_text('{"ids": 1}')
    with pytest.raises(Failed, match="cannot be understood"):
        _ = ImageRecord(state, "my").ids


def test_the_oldest_of_very_many_images_are_forgotten(tmp_path: Path) -> None:
    """An agent cannot fill the state directory."""
    state = State(str(tmp_path / "state"))
    ids = [f"sha256:{number:064x}" for number in range(2000)]
    names = {f"docker.io/library/a:{each}": {"id": each, "is_own": True} for each in ids}
    with state.changing():
        state.write("docker/my.images", json.dumps({"ids": ids, "names": names}))
    record = ImageRecord(state, "my")
    record.note(_OTHER, name="docker.io/library/a:new")
    assert record.ids == {*ids[1:], _OTHER}
    assert len(record.names) == 2000
