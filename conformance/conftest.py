"""What pytest needs to know: the options, one test a case, and the report at the end."""

import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

# The suite is run from a checkout, not installed: its own modules stand beside this file.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from airlock_conformance.cases import ROLES, Case, Role, load, load_setup
from airlock_conformance.checks import Checks, list_checks
from airlock_conformance.daemon_process import running_daemon
from airlock_conformance.expected_failures import ExpectationFileError, read_expected_failures
from airlock_conformance.figures import Figures, count
from airlock_conformance.outcomes import Outcome, Verdict, write_report
from airlock_conformance.policy_role import policy_setup
from airlock_conformance.requirements import read_excuses
from airlock_conformance.rules_role import rules_setup
from airlock_conformance.session_rules import FEATURES
from airlock_conformance.setup import Installation
from airlock_conformance.vectors import VECTORS, load_vectors

_OUTCOMES = pytest.StashKey[list[Outcome]]()
_CASES = pytest.StashKey[dict[Role, list[Case]]]()
_CHECKS = pytest.StashKey[Checks]()

DaemonFor = Callable[[str], Installation]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what is under test and how to judge it."""
    group = parser.getgroup("airlock conformance")
    group.addoption("--daemon", metavar="EXE", help="the daemon under test")
    group.addoption("--shim", metavar="EXE", help="the shim under test")
    group.addoption(
        "--report", metavar="FILE", type=Path, help="write the outcomes (.json, else Markdown)"
    )
    group.addoption(
        "--expected-failures", metavar="FILE", type=Path, help="cases that are known to fail"
    )
    group.addoption(
        "--without",
        metavar="FEATURE",
        action="append",
        choices=FEATURES,
        default=[],
        help="a feature of the protocol that the implementation does not have",
    )
    group.addoption(
        "--vectors", metavar="DIR", type=Path, default=VECTORS, help="policy vectors (vectors/)"
    )
    group.addoption(
        "--modules",
        metavar="DIR",
        type=Path,
        help="modules TOOL.toml to judge by the policy vectors, instead of the built-in ones",
    )
    group.addoption(
        "--patience",
        metavar="SECONDS",
        type=float,
        default=20.0,
        help="how long the implementation has for each thing that is awaited (20)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse what is not there before anything runs, and read the cases."""
    config.stash[_OUTCOMES] = []
    config.stash[_CHECKS] = Checks()
    config.addinivalue_line("markers", "case(case): the conformance case that a test runs")
    for option in ("--daemon", "--shim"):
        given = config.getoption(option)
        if given and not Path(given).is_file():
            raise pytest.UsageError(f"{option} {given}: no such file")
    for option in ("--vectors", "--modules"):
        given = config.getoption(option)
        if given and not given.is_dir():
            raise pytest.UsageError(f"{option} {given}: no such directory")
    cases: dict[Role, list[Case]] = {role: load(role) for role in ROLES}
    vectors = load_vectors(config.getoption("--vectors"))
    config.stash[_CASES] = {**cases, "policy": vectors, "checks": list_checks()}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each case for the functions that take a case of a role."""
    for role, cases in metafunc.config.stash[_CASES].items():
        name = f"{role}_case"
        if name in metafunc.fixturenames:
            parameters = [
                pytest.param(case, id=case.id, marks=pytest.mark.case(case)) for case in cases
            ]
            metafunc.parametrize(name, parameters)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark cases that cannot be run, and those that must fail; put the checks at the end.

    A case that is expected to fail is marked strictly, so that a pass is an error.
    """
    # A check tells of what all cases made it look at.
    items.sort(key=lambda item: (case := _case_of(item)) is not None and case.role == "checks")
    for item in items:
        case = _case_of(item)
        lacking = sorted({*case.needs} & {*config.getoption("--without")}) if case else []
        if lacking:
            item.add_marker(pytest.mark.skip(reason=f"not run: --without {', '.join(lacking)}"))
    path = config.getoption("--expected-failures")
    if path is None:
        return
    known = {case.name for cases in config.stash[_CASES].values() for case in cases}
    try:
        reasons = read_expected_failures(path, known=known)
    except ExpectationFileError as error:
        raise pytest.UsageError(str(error)) from error
    for item in items:
        case = _case_of(item)
        if case is not None and case.name in reasons:
            item.add_marker(pytest.mark.xfail(reason=reasons[case.name], strict=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note how each case came out."""
    report = yield
    case = _case_of(item)
    if case is not None and (report.when == "call" or not report.passed):
        item.config.stash[_OUTCOMES].append(
            Outcome(
                case=case.name,
                role=case.role,
                reference=case.reference,
                description=case.description,
                verdict=_verdict(report),
                detail="" if report.passed else str(call.excinfo.value if call.excinfo else ""),
            )
        )
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report, if one is asked for."""
    path = session.config.getoption("--report")
    if path is not None:
        outcomes = session.config.stash[_OUTCOMES]
        checks = session.config.stash[_CHECKS]
        made = {check.name: checks.made(check.id) for check in list_checks()}
        write_report(path, outcomes, read_excuses(), _figures(session.config), made)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the two figures of each tool's policy, where vectors were run."""
    rows = _figures(config)
    if rows:
        terminalreporter.section("policy vectors")
    for row in rows:
        terminalreporter.write_line(str(row))


@pytest.fixture(scope="session")
def patience(pytestconfig: pytest.Config) -> float:
    """How many seconds the implementation has for each thing that is awaited."""
    seconds: float = pytestconfig.getoption("--patience")
    return seconds


@pytest.fixture(scope="session")
def checks(pytestconfig: pytest.Config) -> Checks:
    """The checks that all cases of this run share."""
    return pytestconfig.stash[_CHECKS]


@pytest.fixture(scope="session")
def shim_executable(pytestconfig: pytest.Config) -> str:
    """The shim under test; without one its cases are reported as not run."""
    return _executable(pytestconfig, "--shim")


@pytest.fixture(scope="session")
def daemon_for(pytestconfig: pytest.Config, patience: float) -> Iterator[DaemonFor]:
    """Return the running daemon of a setup, started when it is first asked for."""
    executable = _executable(pytestconfig, "--daemon")
    running: dict[str, Installation] = {}
    with ExitStack() as stack:

        def start(name: str) -> Installation:
            if name not in running:
                setup = _setup(pytestconfig, name)
                daemon = running_daemon(executable, setup, patience=patience)
                running[name] = stack.enter_context(daemon)
            return running[name]

        yield start


def _executable(config: pytest.Config, option: str) -> str:
    given: str | None = config.getoption(option)
    if not given:
        pytest.skip(f"not run: no {option} EXE given")
    return str(Path(given).absolute())


def _setup(config: pytest.Config, name: str) -> Mapping[str, Any]:
    cases = config.stash[_CASES]
    if name == "rules":
        return rules_setup(cases["rules"])
    if name == "policy":
        return policy_setup(cases["policy"], config.getoption("--modules"))
    return load_setup(name)


def _figures(config: pytest.Config) -> list[Figures]:
    verdicts = {outcome.case: outcome.verdict for outcome in config.stash[_OUTCOMES]}
    return count(config.stash[_CASES]["policy"], verdicts)


def _case_of(item: pytest.Item) -> Case | None:
    marker = item.get_closest_marker("case")
    return marker.args[0] if marker else None


def _verdict(report: pytest.TestReport) -> Verdict:
    if report.skipped:
        return "expected failure" if hasattr(report, "wasxfail") else "not run"
    return "passed" if report.passed else "failed"
