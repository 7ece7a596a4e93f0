"""What pytest needs to know: the options, the tests, and the figures at the end."""

import fcntl
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.world import engine
from e2e.world.images import Images

from faithful.runner.entry import Entry
from faithful.runner.listing import read_commands
from faithful.runner.ways import CONTAINER_WAYS, HOST_WAYS, Way
from faithful.runs import Runs
from faithful.world.containers import remove_leftovers, running_containers
from faithful.world.world import World, built_world

_COMPARED = pytest.StashKey[Counter[str]]()
_ENTRIES = pytest.StashKey[list[Entry]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what is under test."""
    group = parser.getgroup("airlock", "the executables under test")
    group.addoption("--daemon", help="airlock-daemon (default: the one on PATH)")
    group.addoption("--shim", help="the native airlock-shim (default: the one on PATH)")
    group.addoption(
        "--patience",
        metavar="SECONDS",
        type=float,
        default=30.0,
        help="how long a single run may take (30)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Read the list, and refuse to run without an engine where one is required."""
    config.stash[_ENTRIES] = read_commands()
    config.stash[_COMPARED] = Counter()
    reason = engine.why_not() if os.environ.get("REQUIRE_DOCKER") == "1" else None
    if reason:
        raise pytest.UsageError(f"REQUIRE_DOCKER=1, but {reason}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each entry and each way that takes it."""
    for name, ways in (("host_way", HOST_WAYS), ("container_way", CONTAINER_WAYS)):
        if name in metafunc.fixturenames:
            parameters = [
                pytest.param(entry, way, id=f"{entry.id}-{way}")
                for entry in metafunc.config.stash[_ENTRIES]
                for way in ways
                if way.takes(entry)
            ]
            metafunc.parametrize(("entry", name), parameters)


@pytest.fixture(scope="session")
def entries(pytestconfig: pytest.Config) -> list[Entry]:
    """The whole list."""
    return pytestconfig.stash[_ENTRIES]


@pytest.fixture(scope="session")
def selected(request: pytest.FixtureRequest) -> dict[Way, list[Entry]]:
    """Return what is to be run in each way."""
    found: dict[Way, list[Entry]] = {}
    for item in request.session.items:
        call = getattr(item, "callspec", None)
        parameters = call.params if call is not None else {}
        way = parameters.get("host_way") or parameters.get("container_way")
        if way is not None:
            found.setdefault(way, []).append(parameters["entry"])
    return found


@pytest.fixture(scope="session")
def world(pytestconfig: pytest.Config, selected: dict[Way, list[Entry]]) -> Iterator[World]:
    """Build what the selected entries need."""
    found = {}
    for option, name in (("--daemon", "airlock-daemon"), ("--shim", "airlock-shim")):
        given = pytestconfig.getoption(option)
        path = shutil.which(given or name)
        if path is None:
            pytest.fail(f"there is no {given or name} on PATH; name one with {option}")
        found[option] = Path(path).absolute()
    tools = {tool for entries in selected.values() for entry in entries for tool in entry.tools}
    with tempfile.TemporaryDirectory(prefix="airlock-") as folder:
        # A container's root without its capabilities has to get in, too.
        os.chmod(folder, 0o755)
        with built_world(
            Path(folder),
            tools=tools,
            carriages={way.carriage for way in selected} - {"direct"},
            daemon=found["--daemon"],
            shim=found["--shim"].resolve(),
            patience=pytestconfig.getoption("--patience"),
        ) as world:
            yield world


@pytest.fixture(scope="session")
def runs(world: World, selected: dict[Way, list[Entry]]) -> Runs:
    """Run everything that is selected on this host, and directly what only containers run."""
    runs = Runs(world)
    chosen: dict[str, Entry] = {}
    for entries in selected.values():
        chosen |= {
            entry.id: entry for entry in entries if not world.missing.keys() & {*entry.tools}
        }
    runs.run_on_host(chosen.values(), [way for way in HOST_WAYS if way in selected])
    return runs


@pytest.fixture(scope="session")
def container_runs(runs: Runs, world: World, selected: dict[Way, list[Entry]]) -> Runs:
    """Run everything that is selected from containers."""
    reason = engine.why_not()
    if reason:
        pytest.skip(f"containers: {reason}")
    with open("/run/lock/airlock-e2e", "w", encoding="utf-8") as lock:
        # Those who make images at the same time would remove each other's.
        fcntl.flock(lock, fcntl.LOCK_EX)
        engine.prepare()
        images = Images.make(shim=world.ground.box / "airlock-shim")
    remove_leftovers()
    plan = {
        way: [entry for entry in selected[way] if not world.missing.keys() & {*entry.tools}]
        for way in CONTAINER_WAYS
        if way in selected
    }
    with running_containers(world, images) as containers:
        runs.run_in_containers(containers, plan)
    return runs


@pytest.fixture(scope="session")
def compared(pytestconfig: pytest.Config) -> Counter[str]:
    """Count here what was compared: `same`, `different`."""
    return pytestconfig.stash[_COMPARED]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print how many commands were compared in how many ways, and with what outcome."""
    counted = config.stash[_COMPARED]
    if counted:
        commands = sum(1 for key in counted if key.startswith("command "))
        same, different = counted["same"], counted["different"]
        terminalreporter.section("faithful proxy")
        terminalreporter.write_line(
            f"{commands} commands, {same + different} comparisons with the direct run: "
            f"{same} the same, {different} different"
        )
