"""``./dev test`` and ``./dev e2e``: all tests in parts, and only the end-to-end tests."""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from tempfile import TemporaryFile
from typing import IO

from e2e.world.engine import Engine, find_engine

from tasks.environment import Environment, prepare_environment
from tasks.parts import BESIDE, SHORT, Part, run_part, run_pytest
from tasks.places import ROOT
from tasks.report import Outcome, print_summary
from tasks.stand_ins import equip

_UNIT_FOLDERS = ("packages", "bench/tests", "demo/tests", "tasks/tests", "conformance/tests")

# Tests that make boxes, run the whole conformance suite or measure: half of all unit tests' time.
_LONG = ("packages/airlock-daemon/tests/boundary/box", "conformance/tests", "bench/tests")

# Run again with daemons that lack the names of Linux (packages/airlock-daemon/tests/elsewhere.py),
# without tests marked `linux_only`: what asks the system most. .ci/nightly has others.
_WITHOUT_LINUX = tuple(
    f"packages/airlock-daemon/tests/{folder}/test_{name}.py"
    for folder, names in (
        ("serving/request", "ending running who_asks"),
        ("serving/daemon", "control hostile https killed reload stopping"),
        ("boundary/brokers", "git_by_ssh session"),
    )
    for name in names.split()
)

# Journeys that run again with such a daemon: files, or some of their tests. .ci/nightly has others.
_GIT_REMOTE = (
    *(
        f"test_a_container_does_the_same[{transport}-descriptors-{case}]"
        for transport in ("ssh", "https")
        for case in ("clone", "partial-without-files", "push-a-branch", "push-many-refs")
    ),
    *(
        f"test_what_is_not_granted_is_refused[{transport}-descriptors-refused-{case}]"
        for transport in ("ssh", "https")
        for case in ("protected-branch", "delete", "repository")
    ),
    "test_the_records_say_what_was_asked_for",
)
_JOURNEYS_WITHOUT_LINUX = tuple(
    f"e2e/journeys/test_{name}.py{test}"
    for name, tests in {
        "ending": (),
        "hooks": (),
        "restart": (),
        "ssh": (),
        "git_remote": _GIT_REMOTE,
        "git_lfs": ("test_large_files_are_pushed_and_cloned",),
        "own_git": ("test_any_git_pushes[debian-ssh]", "test_any_git_pushes[libexec-https]"),
        "release_pushes": ("test_a_release_arrives_as_what_was_approved[ssh]",),
        "signing": ("test_a_tag_is_signed", "test_a_signature_waits_for_a_person"),
    }.items()
    for test in ([f"::{each}" for each in tests] or [""])
)

# With its own settings, as external users run it. These exclude the suite's own tests and have no
# timeout, so one is given here.
_CONFORMANCE = ("conformance", "-c", "conformance/pytest.ini", "--timeout=60")

# Folders whose tests get the paths of the programs under test.
_NEED_PROGRAMS = ("conformance", "./conformance", "e2e", "./e2e")

_NEED_BRIDGE = ("conformance", "./conformance")
"""Those that get the container's end of a bridge, too."""

_ALL = "--all"
_PREPARE = "--prepare"


def run_tests(arguments: Sequence[str]) -> int:
    """Run the tests, print what ran, what did not and why; return the exit status.

    Without arguments most unit tests run, conformance and the demo; with ``--all`` everything but
    tests marked ``nightly``. The end-to-end tests need a container engine; REQUIRE_DOCKER=1 in the
    environment makes its absence a failure, as REQUIRE_TOOLS=1 does for a tool's. With
    ``--prepare`` only what tests need is installed. With other arguments only pytest runs with
    them, on the unit tests unless they name a path, and its exit status is returned.
    """
    environment = prepare_environment("default")
    if [*arguments] == [_PREPARE]:
        return print_summary("./dev test --prepare", [equip(environment)])
    if arguments and [*arguments] != [_ALL]:
        return _run_selected(environment, arguments)
    programs = _find_programs(environment)
    outcomes = [equip(environment)]
    conformance = Part("conformance", (*_CONFORMANCE, *programs, *_find_bridge(environment)))
    upgrade = Part("upgrade", ("e2e/upgrade", *BESIDE, *programs))
    # Floods the machine and measures time, so it runs alone. A leak counts even if it does not
    # happen again.
    hostile = Part("hostile", ("e2e/hostile",), is_repeated=False)
    canary = Part("canary", ("e2e/canary", "e2e/evidence", *BESIDE), is_repeated=False)
    faithful = Part("faithful", ("e2e/faithful", *programs))
    if not arguments:
        kept = [folder for folder in _UNIT_FOLDERS if folder not in _LONG]
        ignored = [f"--ignore={folder}" for folder in _LONG]
        units = Part("units", (*kept, *ignored, *BESIDE, *SHORT))
        outcomes += _run_beside(
            environment,
            (units,),
            lambda said: [run_part(environment, conformance, output=said)],
        )
        status = print_summary("./dev test", outcomes)
        suites = (hostile, canary, faithful, upgrade)
        left = [*_LONG, *(f"e2e/{part.name}" for part in suites), "e2e/evidence", "e2e/journeys"]
        print(f"Not run: {', '.join(left)}. `./dev test {_ALL}` runs everything.")
        return status
    units = Part("units", (*_UNIT_FOLDERS, *BESIDE, *SHORT))
    variables = {"WITHOUT_LINUX": "1"}
    again = Part("without-linux", (*_WITHOUT_LINUX, *BESIDE, *SHORT), variables=variables)
    journeys = Part("e2e", ("e2e/journeys", *BESIDE))
    without = Part("e2e-without-linux", (*_JOURNEYS_WITHOUT_LINUX, *BESIDE, "--without-linux"))
    is_required = os.environ.get("REQUIRE_DOCKER") == "1"
    outcomes += _run_beside(
        environment,
        (units, upgrade, again),
        lambda said: [
            _run_end_to_end(environment, part, required=is_required, output=said)
            for part in (journeys, without)
        ],
    )
    outcomes.append(run_part(environment, hostile))
    # One process each, which waits for a command at a time.
    outcomes += _run_beside(
        environment,
        (canary,),
        lambda said: [run_part(environment, part, output=said) for part in (faithful, conformance)],
    )
    return print_summary(f"./dev test {_ALL}", outcomes)


def _run_beside(
    environment: Environment, parts: Sequence[Part], other: Callable[[IO[str]], list[Outcome]]
) -> list[Outcome]:
    """Run parts while `other` runs, whose output is printed when both have ended."""
    with TemporaryFile("w+", errors="replace") as said, ThreadPoolExecutor() as pool:
        aside = pool.submit(other, said)
        outcomes = [run_part(environment, part) for part in parts]
        outcomes += aside.result()
        said.seek(0)
        shutil.copyfileobj(said, sys.stdout)
        sys.stdout.flush()
    return outcomes


def run_end_to_end(arguments: Sequence[str]) -> int:
    """Run only the end-to-end tests with pytest's arguments; fail without an engine."""
    environment = prepare_environment("default")
    journeys = Part("e2e", ("e2e/journeys", *BESIDE, *arguments))
    outcomes = [equip(environment), _run_end_to_end(environment, journeys, required=True)]
    return print_summary("./dev e2e", outcomes)


def _run_selected(environment: Environment, arguments: Sequence[str]) -> int:
    paths = [argument for argument in arguments if (ROOT / argument.partition("::")[0]).exists()]
    words = [*arguments] if paths else [*_UNIT_FOLDERS, *arguments]
    if paths == ["conformance"]:
        words = [*_CONFORMANCE, *(word for word in arguments if word not in paths)]
    equip(environment)
    if any(path.startswith(_NEED_PROGRAMS) for path in paths):
        words += _find_programs(environment)
    if any(path.startswith(_NEED_BRIDGE) for path in paths):
        words += _find_bridge(environment)
    status = run_pytest(environment, words)
    print(
        f"./dev test: only what the arguments select; `./dev test {_ALL}` runs everything.",
        file=sys.stderr,
    )
    return status


def _run_end_to_end(
    environment: Environment, part: Part, *, required: bool, output: IO[str] | None = None
) -> Outcome:
    engine = find_engine()
    if isinstance(engine, Engine):
        part = replace(part, variables={"REQUIRE_DOCKER": "1"})
        return run_part(environment, part, output=output)
    if required:
        return Outcome(part.name, "failed", f"an engine is required, and {engine}")
    return Outcome(part.name, "skipped", f"{engine} (REQUIRE_DOCKER=1 makes this a failure)")


def _find_programs(environment: Environment) -> list[str]:
    daemon, shim = environment.find("airlock-daemon"), environment.find("airlock-shim")
    return ["--daemon", str(daemon), "--shim", str(shim)]


def _find_bridge(environment: Environment) -> list[str]:
    return ["--bridge", str(environment.find("airlock-shim"))]
