"""``./dev test`` and ``./dev e2e``: all tests, part by part, and the end-to-end tests alone."""

import os
import sys
from collections.abc import Sequence
from time import monotonic

from e2e.world.engine import Engine, find_engine

from tasks.environment import Environment, prepare_environment
from tasks.places import REPORTS, ROOT
from tasks.report import Outcome, print_summary, read_counts
from tasks.stand_ins import equip

_UNIT_FOLDERS = ("packages", "bench/tests", "demo/tests", "tasks/tests")

# With its own settings, as somebody else would run it; they leave out the tests of the suite, and
# know nothing of what ends a test that hangs.
_CONFORMANCE = ("conformance", "-c", "conformance/pytest.ini", "--timeout=60")

# Folders whose tests are told what is under test.
_NEED_PROGRAMS = ("conformance", "./conformance", "e2e", "./e2e")


def run_tests(arguments: Sequence[str]) -> int:
    """Run the tests and say at the end what ran, what did not and why; return the exit status.

    Without arguments everything runs that can: the end-to-end tests need a container engine, and
    REQUIRE_DOCKER=1 in the environment makes its absence a failure, as REQUIRE_TOOLS=1 does for
    that of a tool. With arguments pytest alone runs with them, on the unit tests unless they name a
    path; its exit status is returned.
    """
    environment = prepare_environment("default")
    if arguments:
        return _run_selected(environment, arguments)
    outcomes = [
        equip(environment),
        _run_part(environment, "unit", _UNIT_FOLDERS),
        _run_part(environment, "conformance-suite", ("conformance/tests", "--timeout=600")),
        _run_part(environment, "conformance", (*_CONFORMANCE, *_find_programs(environment))),
        _run_part(environment, "hostile", ("e2e/hostile",)),
        _run_part(environment, "canary", ("e2e/canary",)),
        _run_part(environment, "faithful", ("e2e/faithful", *_find_programs(environment))),
        _run_part(environment, "upgrade", ("e2e/upgrade", *_find_programs(environment))),
        _run_end_to_end(environment, (), required=os.environ.get("REQUIRE_DOCKER") == "1"),
    ]
    return print_summary("./dev test", outcomes)


def run_end_to_end(arguments: Sequence[str]) -> int:
    """Run the end-to-end tests alone with pytest's arguments; without an engine, fail."""
    environment = prepare_environment("default")
    outcomes = [equip(environment), _run_end_to_end(environment, arguments, required=True)]
    return print_summary("./dev e2e", outcomes)


def _run_selected(environment: Environment, arguments: Sequence[str]) -> int:
    paths = [argument for argument in arguments if (ROOT / argument.partition("::")[0]).exists()]
    words = [*arguments] if paths else [*_UNIT_FOLDERS, *arguments]
    if paths == ["conformance"]:
        words = [*_CONFORMANCE, *(word for word in arguments if word not in paths)]
    equip(environment)
    if any(path.startswith(_NEED_PROGRAMS) for path in paths):
        words += _find_programs(environment)
    status = _pytest(environment, words)
    print(
        "./dev test: only what the arguments select; without arguments everything runs.",
        file=sys.stderr,
    )
    return status


def _run_end_to_end(
    environment: Environment, arguments: Sequence[str], *, required: bool
) -> Outcome:
    engine = find_engine()
    if isinstance(engine, Engine):
        return _run_part(
            environment, "e2e", ("e2e/journeys", *arguments), extra={"REQUIRE_DOCKER": "1"}
        )
    if required:
        return Outcome("e2e", "failed", f"an engine is required, and {engine}")
    return Outcome("e2e", "skipped", f"{engine} (REQUIRE_DOCKER=1 makes this a failure)")


def _run_part(
    environment: Environment,
    name: str,
    words: Sequence[str],
    *,
    extra: dict[str, str] | None = None,
) -> Outcome:
    print(f"\n==> {name}", flush=True)
    report = REPORTS / f"{name}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    started = monotonic()
    status = _pytest(environment, [*words, f"--junit-xml={report}"], extra=extra)
    seconds = f"{monotonic() - started:.0f} s"
    counts = read_counts(report)
    if counts is None:
        return Outcome(
            name, "failed", f"pytest ended with status {status} and no report, {seconds}"
        )
    # Status 5, no tests collected, is a failure here: a part that lost its tests must be noticed.
    return Outcome(name, "failed" if status else "passed", f"{counts}, {seconds}", counts.skips)


def _pytest(
    environment: Environment, words: Sequence[str], *, extra: dict[str, str] | None = None
) -> int:
    return environment.run([environment.python, "-m", "pytest", *words], extra=extra)


def _find_programs(environment: Environment) -> list[str]:
    daemon, shim = environment.find("airlock-daemon"), environment.find("airlock-shim")
    return ["--daemon", str(daemon), "--shim", str(shim)]
