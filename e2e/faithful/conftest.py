"""What pytest needs to know: the options, the tests, and the figures at the end."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.faithful.boxes import describe_boxes, read_boxes
from e2e.faithful.runner.entry import Entry
from e2e.faithful.runner.listing import read_commands
from e2e.faithful.runner.ways import CONTAINER_WAYS, HOST_WAYS, Way
from e2e.faithful.runs import Runs
from e2e.faithful.world.containers import running_containers
from e2e.faithful.world.world import World, built_world
from e2e.world import engine
from e2e.world.executables import Executables
from e2e.world.images import Images

_COMPARED = pytest.StashKey[Counter[str]]()
_BOXES = pytest.StashKey[list[str]]()
_ENTRIES = pytest.StashKey[list[Entry]]()


def pytest_configure(config: pytest.Config) -> None:
    """Read the list."""
    config.stash[_ENTRIES] = read_commands()
    config.stash[_COMPARED] = Counter()
    config.stash[_BOXES] = []


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
def world(
    pytestconfig: pytest.Config, executables: Executables, selected: dict[Way, list[Entry]]
) -> Iterator[World]:
    """Build what the selected entries need."""
    tools = {tool for entries in selected.values() for entry in entries for tool in entry.tools}
    with tempfile.TemporaryDirectory(prefix="airlock-") as folder:
        # A container's root without its capabilities has to get in, too.
        os.chmod(folder, 0o755)
        daemons = {way.daemon for way in selected} - {"direct"}
        with built_world(
            Path(folder),
            tools=tools,
            daemons=daemons,
            daemon=executables.daemon,
            shim=executables.shim.resolve(),
            patience=pytestconfig.getoption("--patience"),
        ) as world:
            yield world
            pytestconfig.stash[_BOXES] += describe_boxes(read_boxes(world.ground, daemons))


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
def container_runs(
    request: pytest.FixtureRequest, runs: Runs, world: World, selected: dict[Way, list[Entry]]
) -> Runs:
    """Run everything that is selected from containers."""
    reason = engine.why_not()
    if reason:
        pytest.skip(f"containers: {reason}")
    request.getfixturevalue("alone")
    images = Images.make(shim=world.ground.box / "airlock-shim")
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
        for line in config.stash[_BOXES]:
            terminalreporter.write_line(line)
