"""What pytest needs to know: the options, one test a case, and the report at the end."""

import os
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

# The suite is run from a checkout, not installed: its own modules stand beside this file.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from airlock_conformance.base_only import find_excuse, for_the_base, is_of_the_base
from airlock_conformance.cases import ROLES, Case, Role, load, load_setup
from airlock_conformance.causes import cause_of
from airlock_conformance.checks import Checks, list_checks
from airlock_conformance.daemons import Daemons
from airlock_conformance.expected_failures import ExpectationFileError, read_expected_failures
from airlock_conformance.figures import Figures, count
from airlock_conformance.inherited_signals import keep_to_ourselves
from airlock_conformance.outcomes import NOT_JUDGED, Outcome, Run, Verdict, list_not_judged
from airlock_conformance.patience import Patience
from airlock_conformance.policy_role import policy_setup
from airlock_conformance.report import list_causes, list_excuses, write_report
from airlock_conformance.requirements import read_excuses, read_summaries
from airlock_conformance.rules_role import rules_setup
from airlock_conformance.session_rules import FEATURES
from airlock_conformance.vectors import VECTORS, load_vectors
from airlock_conformance.violation import Violation

_OUTCOMES = pytest.StashKey[list[Outcome]]()
_CASES = pytest.StashKey[dict[Role, list[Case]]]()
_CHECKS = pytest.StashKey[Checks]()
_NOT_STARTED = pytest.StashKey[Mapping[str, str]]()

# Past so many failures the causes tell more than the failures one by one.
_MAX_SHOWN = 30


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what is under test and how to judge it."""
    group = parser.getgroup("airlock conformance")
    group.addoption("--daemon", metavar="EXE", help="the daemon under test")
    group.addoption("--shim", metavar="EXE", help="the shim under test")
    group.addoption("--bridge", metavar="EXE", help="the container's end of a bridge under test")
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
        "--bridged",
        action="store_true",
        help="the clients of the daemon under test are behind bridges of its own",
    )
    group.addoption(
        "--base-only",
        action="store_true",
        help="judge by the base of the protocol: no features, and errors by their code alone",
    )
    group.addoption(
        "--with-boxes",
        action="store_true",
        help="with --base-only: the daemon runs commands in boxes, and is told which have none",
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
    keep_to_ourselves()
    config.stash[_OUTCOMES] = []
    config.stash[_NOT_STARTED] = {}
    config.stash[_CHECKS] = Checks(base_only=config.getoption("--base-only"))
    config.addinivalue_line("markers", "case(case): the conformance case that a test runs")
    for option in ("--daemon", "--shim", "--bridge"):
        given = config.getoption(option)
        if given and not Path(given).is_file():
            raise pytest.UsageError(f"{option} {given}: no such file")
        if given and not os.access(given, os.X_OK):
            raise pytest.UsageError(f"{option} {given}: not executable; chmod +x it")
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
        if case is None:
            continue
        lacking = sorted({*case.needs} & {*config.getoption("--without")})
        if "bridge" in case.needs and not config.getoption("--bridged"):
            item.add_marker(pytest.mark.skip(reason="not run: no --bridged daemon"))
        elif lacking:
            item.add_marker(pytest.mark.skip(reason=f"not run: --without {', '.join(lacking)}"))
        elif config.getoption("--base-only") and not is_of_the_base(case):
            item.add_marker(pytest.mark.skip(reason="not run: --base-only"))
        elif _knows_base_files_alone(config) and (excuse := find_excuse(case)):
            item.add_marker(pytest.mark.skip(reason=f"{NOT_JUDGED}{excuse}"))
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
    error = call.excinfo.value if call.excinfo else None
    if report.failed and isinstance(error, Violation):
        # Where in the suite it was raised says nothing about the implementation.
        report.longrepr = "\n".join([str(error), *getattr(error, "__notes__", ())])
    case = _case_of(item)
    if case is not None and (report.when == "call" or not report.passed):
        item.config.stash[_OUTCOMES].append(
            Outcome(
                case=case.name,
                role=case.role,
                reference=case.reference,
                description=case.description,
                verdict=_verdict(report),
                detail="" if report.passed else str(error or ""),
                cause=_cause(report, error),
            )
        )
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report, if one is asked for."""
    config = session.config
    outcomes, checks = config.stash[_OUTCOMES], config.stash[_CHECKS]
    if sum(outcome.verdict == "failed" for outcome in outcomes) > _MAX_SHOWN:
        config.option.tbstyle = "no"
    path = config.getoption("--report")
    if path is not None:
        run = Run(
            outcomes=outcomes,
            summaries=read_summaries(),
            excuses=read_excuses(),
            made={check.name: checks.made(check.id) for check in list_checks()},
            figures=_figures(config),
            not_started=config.stash[_NOT_STARTED],
            base_only=checks.base_only,
        )
        write_report(path, run)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print which daemons did not start, why cases failed, and how policies came out."""
    outcomes = config.stash[_OUTCOMES]
    for name, said in config.stash[_NOT_STARTED].items():
        terminalreporter.section(f"the daemon did not start on the setup {name}")
        terminalreporter.write_line(said)
    causes = list(list_causes(outcomes))
    if causes:
        terminalreporter.section("why cases failed")
    for line in causes:
        terminalreporter.write_line(line)
    rows = _figures(config)
    if rows:
        terminalreporter.section("policy vectors")
    for row in rows:
        terminalreporter.write_line(str(row))
    for line in list_excuses(outcomes):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def patience(pytestconfig: pytest.Config) -> Patience:
    """How long the implementation has for each thing that is awaited."""
    return Patience(pytestconfig.getoption("--patience"))


@pytest.fixture(scope="session")
def checks(pytestconfig: pytest.Config) -> Checks:
    """The checks that all cases of this run share."""
    return pytestconfig.stash[_CHECKS]


@pytest.fixture(scope="session")
def shim_executable(pytestconfig: pytest.Config) -> str:
    """The shim under test; without one its cases are reported as not run."""
    return _executable(pytestconfig, "--shim")


@pytest.fixture(scope="session")
def bridge_executable(pytestconfig: pytest.Config) -> str:
    """The container's end of a bridge under test, as the shim."""
    return _executable(pytestconfig, "--bridge")


@pytest.fixture(scope="session")
def daemons(pytestconfig: pytest.Config, patience: Patience, checks: Checks) -> Iterator[Daemons]:
    """The daemon under test, as often as there are setups."""
    executable = _executable(pytestconfig, "--daemon")
    setup = partial(_setup, pytestconfig)
    if _knows_base_files_alone(pytestconfig):
        setup = partial(_setup_of_the_base, pytestconfig)
    with closing(Daemons(executable, setup, patience=patience, checks=checks)) as daemons:
        pytestconfig.stash[_NOT_STARTED] = daemons.not_started
        yield daemons


def _knows_base_files_alone(config: pytest.Config) -> bool:
    """Whether the daemon knows of its files what the base has: nothing of boxes and grants."""
    return bool(config.getoption("--base-only") and not config.getoption("--with-boxes"))


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


def _setup_of_the_base(config: pytest.Config, name: str) -> Mapping[str, Any]:
    return for_the_base(_setup(config, name))


def _figures(config: pytest.Config) -> list[Figures]:
    outcomes = config.stash[_OUTCOMES]
    verdicts = {outcome.case: outcome.verdict for outcome in outcomes}
    return count(config.stash[_CASES]["policy"], verdicts, list_not_judged(outcomes))


def _case_of(item: pytest.Item) -> Case | None:
    marker = item.get_closest_marker("case")
    return marker.args[0] if marker else None


def _cause(report: pytest.TestReport, error: BaseException | None) -> str:
    if not report.failed:
        return ""
    return cause_of(error) if error else "it passed, and was expected to fail"


def _verdict(report: pytest.TestReport) -> Verdict:
    if report.skipped:
        return "expected failure" if hasattr(report, "wasxfail") else "not run"
    return "passed" if report.passed else "failed"
