"""Counting the code that has to be trusted."""

from tasks.trusted import GRANTS, count_lines, find_loaded, name_floor, read_budgets


def test_a_file_counts_for_its_floor() -> None:
    """The floor is the daemon's folder; what is in none belongs to the platform."""
    assert name_floor("/x/src/airlock_daemon/boundary/brokers/git/rules.py") == "boundary"
    assert name_floor("/x/src/airlock_daemon/errors.py") == "platform"
    assert name_floor("/x/src/airlock_wire/text.py") == "airlock_wire"


def test_there_is_a_budget_for_each_grant() -> None:
    """A push alone never needs more than everything does."""
    budgets = read_budgets()
    assert set(budgets) == {*GRANTS, "all"}
    assert budgets["git"] <= budgets["all"]


def test_a_push_loads_its_broker_and_not_that_of_apis() -> None:
    """What is loaded is what a daemon really used, within its budget."""
    files = find_loaded(["git"])
    rooms = {path.rpartition("/src/")[2] for path in files}
    assert "airlock_daemon/boundary/brokers/git/smart_http.py" in rooms
    assert not any(path.startswith("airlock_daemon/boundary/brokers/https/") for path in rooms)
    assert "airlock_daemon/serving/daemon/https.py" not in rooms
    assert count_lines(files).total() <= read_budgets()["git"]
