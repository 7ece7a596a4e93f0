"""The suite against implementations that are known to be right."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from control_programs import CASES, CONTROLS, PATIENCE, judge_case, write_control

from airlock_conformance.base_only import is_of_the_base
from airlock_conformance.bridge_role import run_bridge_case
from airlock_conformance.cases import Case, load, load_setup
from airlock_conformance.daemon_process import running_daemon
from airlock_conformance.rules_role import rules_setup
from airlock_conformance.setup import Installation
from airlock_conformance.shim_role import run_shim_case

sys.path.insert(0, str(CONTROLS))

from plain import PlainDaemon, PlainShim

Judge = Callable[[Case], None]


def cases_of(*roles: str, plain: bool = False) -> list[Any]:
    """Return the cases of some roles as parameters.

    `plain` ones are those that need nothing and are not of the base (test_base_only runs those).
    """
    return [
        pytest.param(case, id=name)
        for name, case in CASES.items()
        if case.role in roles and not (plain and (case.needs or is_of_the_base(case)))
    ]


@pytest.fixture(scope="module")
def judge_daemon() -> Iterator[Judge]:
    """Return what runs a case against the reference daemon."""
    with ExitStack() as stack:
        yield _judge(str(CONTROLS / "reference_daemon.py"), stack)


@pytest.fixture(scope="module")
def judge_plain_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    """Return what runs a case against a daemon without features."""
    path = tmp_path_factory.mktemp("plain") / "daemon"
    with ExitStack() as stack:
        yield _judge(write_control(path, PlainDaemon, entry="reference_daemon"), stack)


@pytest.fixture(scope="module")
def plain_shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A shim without features."""
    path = tmp_path_factory.mktemp("plain") / "shim"
    return write_control(path, PlainShim, entry="reference_shim")


@pytest.mark.nightly
@pytest.mark.parametrize("case", cases_of("daemon", "rules"))
def test_the_reference_daemon_passes(case: Case, judge_daemon: Judge) -> None:
    """A daemon that keeps to the protocol passes every case."""
    judge_daemon(case)


@pytest.mark.nightly
@pytest.mark.parametrize("case", cases_of("shim"))
def test_the_reference_shim_passes(case: Case) -> None:
    """A shim that keeps to the protocol passes every case."""
    run_shim_case(case.body, str(CONTROLS / "reference_shim.py"), patience=PATIENCE)


@pytest.mark.nightly
@pytest.mark.parametrize("case", cases_of("bridge"))
def test_the_reference_bridge_passes(case: Case) -> None:
    """A bridge's container end that keeps to the protocol passes every case."""
    run_bridge_case(case.body, str(CONTROLS / "reference_bridge.py"), patience=PATIENCE)


@pytest.mark.parametrize("case", cases_of("daemon", plain=True))
def test_a_daemon_without_features_passes_the_rest(case: Case, judge_plain_daemon: Judge) -> None:
    """A daemon that has no feature passes every case that needs none."""
    judge_plain_daemon(case)


@pytest.mark.parametrize("case", cases_of("shim", plain=True))
def test_a_shim_without_features_passes_the_rest(case: Case, plain_shim: str) -> None:
    """A shim that asks for no feature passes every case that needs none."""
    run_shim_case(case.body, plain_shim, patience=PATIENCE)


def _judge(daemon: str, stack: ExitStack) -> Judge:
    """Return what runs a case against a daemon; one process serves each setup."""
    running: dict[str, Installation] = {}

    def judge(case: Case) -> None:
        name = case.body.get("setup", "rules")
        if name not in running:
            setup = rules_setup(load("rules")) if name == "rules" else load_setup(name)
            started = running_daemon(daemon, setup, patience=PATIENCE)
            running[name] = stack.enter_context(started).installation
        judge_case(case, running[name], patience=PATIENCE)

    return judge
