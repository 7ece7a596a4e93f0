"""The two sides: a plain git of the person on the host, and a container's git through Airlock."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from e2e.journeys.remotes import ground
from e2e.journeys.remotes.case import Case
from e2e.journeys.remotes.ground import ROOT, Result
from e2e.world.account import Account
from e2e.world.airlock import Agent, Airlock
from e2e.world.command import Completed, run
from e2e.world.container import Container, Setup
from e2e.world.executables import Executables
from e2e.world.git_server import GitServer
from e2e.world.project import TOOLS

WAYS = {"descriptors": "", "streamed": "[daemon]\npass_descriptors = false\n"}
"""How a conversation comes to the container, and what of the configuration says so."""

PLAIN = "plain"
_AT = "/remotes"
_GRANTS = {
    "trusted": "delete = true\npush_options = ['ci.skip']\n",
    "careful": 'protect = ["refs/heads/main"]\n'
    'refs = ["refs/heads/agent/*", "refs/heads/main", "refs/heads/topic"]\n',
}


class Field:
    """Everything around the cases, below `folder`; a daemon runs for each of WAYS."""

    def __init__(
        self, *, account: Account, server: GitServer, folder: Path, executables: Executables
    ) -> None:
        self.account = account
        self.server = server
        self._folder = folder
        self._shim = executables.shim.resolve()
        self.url = f"ssh://git@127.0.0.1:{server.port}"
        account.make_directory(folder)
        account.write(folder / "gitconfig", "[init]\n\tdefaultBranch = main\n")
        self.airlocks = {}
        self._agents: dict[tuple[str, str], Agent] = {}
        for way, more in WAYS.items():
            airlock = Airlock(
                executable=executables.daemon, account=account, folder=folder / f"daemon-{way}"
            )
            airlock.enable("git-remote", more=more)
            self.airlocks[way] = airlock
            for name, lines in _GRANTS.items():
                self.add_agent(way, name, [f"git@127.0.0.1:{server.port}{ROOT}/**"], lines)

    def add_agent(self, way: str, name: str, places: Sequence[str], lines: str = "") -> None:
        """Register an agent that may push to `places`, before the daemon of that way starts."""
        profile = f'commands = ["git-remote"]\n[git]\npush = {json.dumps(places)}\n{lines}'
        self._agents[way, name] = self.airlocks[way].add_agent(name, profile=profile)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have the daemons, and a clone of which each case gets a copy."""
        ground.seed(self.server)
        clone = f"{self.url}{ROOT}/templates/before.git"
        self._run(
            "git", "clone", "--quiet", "--template=", clone, f"{self._folder}/clone"
        ).succeeded()
        with ExitStack() as stack:
            for airlock in self.airlocks.values():
                stack.callback(airlock.stop)
                airlock.start()
            yield

    def setup(self, image: str) -> Setup:
        """Describe a container of all agents. It has no workspace that the daemon knows."""
        mounts = {
            f"/run/{way}/{name}": (agent.socket_directory, "ro")
            for (way, name), agent in self._agents.items()
        }
        mounts[_AT] = (self._folder, "rw")
        return Setup(image=image, mounts=mounts)

    def mount_shim(self, setup: Setup) -> Setup:
        """Add the shim to a container that has none."""
        mounts = {**setup.mounts, "/usr/local/bin/airlock-shim": (self._shim, "ro")}
        return Setup(image=setup.image, mounts=mounts)

    def run_plain(self, cases: Sequence[Case]) -> dict[str, Result]:
        """Carry out the cases with the person's own git, ssh and key."""
        folder = self._lay_out(PLAIN, cases)
        script = ground.write_script(PLAIN, cases, folder=str(folder), url=self.url, sockets={})
        self._run("sh", "-s", stdin=script.encode()).succeeded()
        return self._read(PLAIN, cases, at=str(folder))

    def run_in(self, client: Container, way: str, cases: Sequence[Case]) -> dict[str, Result]:
        """Carry out the cases with the git of a container."""
        self._lay_out(way, cases)
        sockets = {name: f"/run/{way}/{name}/airlock.sock" for name in _GRANTS}
        script = ground.write_script(
            way, cases, folder=f"{_AT}/{way}", url=self.url, sockets=sockets
        )
        client.run("sh", "-s", cwd="/", stdin=script.encode()).succeeded()
        return self._read(way, cases, at=f"{_AT}/{way}")

    def _lay_out(self, side: str, cases: Iterable[Case]) -> Path:
        ground.lay_out(self.server, side, cases)
        return self.account.make_directory(self._folder / side)

    def _read(self, side: str, cases: Iterable[Case], *, at: str) -> dict[str, Result]:
        refs = ground.read_remote_refs(self.server, side)
        folder = self._folder / side
        return {case.id: ground.read_result(folder, case, refs[case.id], at=at) for case in cases}

    def _run(self, *argv: str, stdin: bytes = b"") -> Completed:
        account = self.account
        environment = account.environment(path=TOOLS)
        return run(argv, cwd="/", env=environment, uid=account.uid, gid=account.gid, stdin=stdin)
