"""Counting the code that has to be trusted."""

import tomllib

from tasks.places import ROOT
from tasks.trusted import FLOORS, GRANTS, count_lines, find_loaded, name_floor, read_budgets


def test_each_room_of_the_daemon_is_on_one_floor() -> None:
    """The rooms are those that import-linter knows."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (layers,) = [
        contract["layers"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract.get("containers") == ["airlock_daemon"]
    ]
    on_floors = sorted(room for rooms in FLOORS.values() for room in rooms)
    assert on_floors == sorted(set(layers) - {"errors"})
    assert name_floor("/x/src/airlock_daemon/brokers/git/rules.py") == "boundary"


def test_there_is_a_budget_for_each_grant() -> None:
    """A push alone never needs more than everything does."""
    budgets = read_budgets()
    assert set(budgets) == {*GRANTS, "all"}
    assert budgets["git"] <= budgets["all"]


def test_a_push_loads_its_broker_and_not_that_of_apis() -> None:
    """What is loaded is what a daemon really used, within its budget."""
    files = find_loaded(["git"])
    rooms = {path.rpartition("/src/")[2] for path in files}
    assert "airlock_daemon/brokers/git/smart_http.py" in rooms
    assert not any(path.startswith("airlock_daemon/brokers/https/") for path in rooms)
    assert "airlock_daemon/serving/https.py" not in rooms
    assert count_lines(files).total() <= read_budgets()["git"]
