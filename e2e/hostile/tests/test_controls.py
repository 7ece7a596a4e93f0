"""A daemon that does not stand an attack is found out."""

from pathlib import Path

import pytest
from e2e.hostile import rest
from e2e.hostile.attack import Scene, make_family
from e2e.hostile.campaign import carry_out
from e2e.hostile.families import not_requests
from e2e.world.lines import make_request

LEAKY = str(Path(__file__).parent / "leaky_daemon.py")


def ask_once(scene: Scene) -> None:
    with scene.connect() as client:
        client.send(make_request("true"))
        client.await_result()


def test_what_is_left_behind_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Descriptors that stay open and missing records are faults, however well it answers."""
    monkeypatch.setattr(rest, "PATIENCE_S", 0.5)
    report = carry_out(make_family("control", "one request", ask_once), executable=LEAKY)
    (fault,) = report.faults
    assert "descriptors became" in fault
    assert "0 records are in the audit log for 1 requests" in fault


def test_a_wrong_answer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that takes everything for a request fails those attacks."""
    monkeypatch.setattr(rest, "PATIENCE_S", 0.5)
    family, names = not_requests.FAMILY, ["response instead of a request", "method with NUL"]
    wanted = [attack for attack in family.attacks if attack.name in names]
    report = carry_out(family._replace(attacks=tuple(wanted)), executable=LEAKY)
    assert [fault.partition(":")[0] for fault in report.faults[:-1]] == names
