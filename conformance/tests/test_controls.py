"""The suite against implementations that are known to be wrong."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from control_programs import CASES, CONTROLS, PATIENCE, SHORT_PATIENCE, judge_case, write_control

from airlock_conformance.bridge_role import run_bridge_case
from airlock_conformance.cases import load_setup
from airlock_conformance.causes import cause_of
from airlock_conformance.daemon_process import running_daemon
from airlock_conformance.rules_role import rules_setup
from airlock_conformance.shim_role import run_shim_case
from airlock_conformance.violation import Violation

sys.path.insert(0, str(CONTROLS))

import broken_bridges
import broken_daemons
import broken_negotiation
import broken_processes
import broken_shim_features
import broken_shim_terminals
import broken_shims
import broken_streams
from broken import BrokenBridge, BrokenDaemon, BrokenShim

# What is judged in each run, and not at night alone: some of each module, with the cause that the
# failure must have. Between them they need what the suite judges by: values, lists and wildcards of
# patterns, contents as bytes, cases that are spread, and the schemas and rules of messages.
EACH_RUN: dict[type[Any], str] = {
    broken_bridges.EmptyPong: "expected the frame",
    broken_daemons.IdZero: "response.id: expected something else, got 0",
    broken_negotiation.NeedsAllOrNone: "start.params.features is another than expected",
    broken_processes.SignalUnasked: "result.signal, but exit-signal is not in use",
    broken_shim_features.NoFeatures: "request.params.features is another than expected",
    broken_shim_features.Spendthrift: "10 bytes of stdin, but 4 were granted",
    broken_shim_terminals.FixedSize: "request.params.tty.rows: expected 24, got 25",
    broken_shims.LossyArguments: "request.params.args[] is another than expected",
    broken_shims.NoDirectory: "request.params.cwd is missing",
    broken_streams.TextOnly: "stdout is another than expected",
    broken_streams.Unpadded: (
        "not a valid output message: 'wyjtoIDAgPg' is not base64: Incorrect padding"
    ),
}


def list_broken(kind: type[Any], *modules: ModuleType) -> list[Any]:
    """Return the classes of a kind that modules define, as parameters of a test."""
    return [
        pytest.param(
            value,
            id=f"{module.__name__}.{value.__name__}",
            marks=() if value in EACH_RUN else pytest.mark.nightly,
        )
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, kind) and value is not kind
    ]


DAEMONS = (broken_daemons, broken_negotiation, broken_processes, broken_streams)
SHIMS = (broken_shim_features, broken_shim_terminals, broken_shims)


@pytest.mark.parametrize("kind", list_broken(BrokenDaemon, *DAEMONS))
def test_a_broken_daemon_is_caught(kind: type[BrokenDaemon], tmp_path: Path) -> None:
    """The case that is there for a fault of a daemon fails for it."""
    case = CASES[kind.caught_by]
    executable = write_control(tmp_path / "daemon", kind, entry="reference_daemon")
    setup = rules_setup([case]) if case.role == "rules" else load_setup(case.body["setup"])
    with (
        running_daemon(executable, setup, patience=PATIENCE) as daemon,
        pytest.raises(Violation) as caught,
    ):
        judge_case(case, daemon.installation, patience=SHORT_PATIENCE)
    assert EACH_RUN.get(kind) in (None, cause_of(caught.value))


@pytest.mark.parametrize("kind", list_broken(BrokenShim, *SHIMS))
def test_a_broken_shim_is_caught(kind: type[BrokenShim], tmp_path: Path) -> None:
    """The case that is there for a fault of a shim fails for it."""
    case = CASES[kind.caught_by]
    shim = write_control(tmp_path / "shim", kind, entry="reference_shim")
    with pytest.raises(Violation) as caught:
        run_shim_case(case.body, shim, patience=SHORT_PATIENCE)
    assert EACH_RUN.get(kind) in (None, cause_of(caught.value))


@pytest.mark.parametrize("kind", list_broken(BrokenBridge, broken_bridges))
def test_a_broken_bridge_is_caught(kind: type[BrokenBridge], tmp_path: Path) -> None:
    """The case that is there for a fault of a bridge fails for it."""
    bridge = write_control(tmp_path / "bridge", kind, entry="reference_bridge")
    with pytest.raises(Violation) as caught:
        run_bridge_case(CASES[kind.caught_by].body, bridge, patience=SHORT_PATIENCE)
    assert EACH_RUN.get(kind) in (None, cause_of(caught.value))


def test_each_case_of_a_bridge_catches_one() -> None:
    """No case of a bridge is there for nothing."""
    caught = {param.values[0].caught_by for param in list_broken(BrokenBridge, broken_bridges)}
    assert caught == {name for name, case in CASES.items() if case.role == "bridge"}
