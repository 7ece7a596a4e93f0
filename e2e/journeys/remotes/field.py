"""The two sides: a plain git of the person on the host, and a container's git through Airlock."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from e2e.journeys.remotes import ground
from e2e.journeys.remotes.case import Case, Transport
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

BOXED = "boxed"
"""Likewise, for a container whose git is the shim: git runs on the host, in a box."""
BOXED_GIT = "/usr/local/boxed"
"""Where the container has that one."""
PLAIN = "plain"
_AT = "/remotes"
_GRANTS = {
    "trusted": "delete = true\npush_options = ['ci.skip']\n",
    "careful": 'protect = ["refs/heads/main"]\n'
    'refs = ["refs/heads/agent/*", "refs/heads/main", "refs/heads/topic"]\n',
}


class Field:
    """Everything around the cases over one transport, below `folder`; a daemon for each of WAYS.

    The server has the repositories of `ground.seed`, and the account may reach them.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        account: Account,
        server: GitServer,
        folder: Path,
        executables: Executables,
    ) -> None:
        self.transport = transport
        self.account = account
        self.server = server
        self._folder = folder
        self._shim = executables.shim.resolve()
        self.url = {
            "ssh": f"ssh://git@127.0.0.1:{server.port}{ROOT}",
            "https": f"{server.web}/git{ROOT.removeprefix('/srv')}",
        }[transport]
        account.make_directory(folder)
        account.write(folder / "gitconfig", "[init]\n\tdefaultBranch = main\n")
        self.airlocks = {}
        self._agents: dict[tuple[str, str], Agent] = {}
        for way, more in {**WAYS, BOXED: ""}.items():
            airlock = Airlock(
                executable=executables.daemon, account=account, folder=folder / f"daemon-{way}"
            )
            airlock.enable(_command(way), more=more)
            self.airlocks[way] = airlock
            for name, lines in _GRANTS.items():
                self.add_agent(way, name, [f"{self.url.removeprefix('ssh://')}/**"], lines)

    def add_agent(self, way: str, name: str, places: Sequence[str], lines: str = "") -> None:
        """Register an agent that may push to `places`, before the daemon of that way starts."""
        profile = f'commands = ["{_command(way)}"]\n[git]\npush = {json.dumps(places)}\n{lines}'
        self._agents[way, name] = self.airlocks[way].add_agent(name, profile=profile)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have the daemons, and a clone of which each case gets a copy."""
        clone = f"{self.url}/templates/before.git"
        self._run(
            "git", "clone", "--quiet", "--template=", clone, f"{self._folder}/clone"
        ).succeeded()
        with ExitStack() as stack:
            for airlock in self.airlocks.values():
                stack.callback(airlock.stop)
                airlock.start()
            yield

    def setup(self, image: str) -> Setup:
        """Describe a container of all agents, which sees the directories of all sides."""
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
        """Carry out the cases with the person's own git, configuration and credential."""
        side = self.side(PLAIN)
        folder = self._lay_out(side, cases)
        script = ground.write_script(
            cases,
            url=f"{self.url}/{side}",
            folder=str(folder),
            configuration=str(self.account.home / ".gitconfig"),
            sockets={},
        )
        self._run("sh", "-s", stdin=script.encode()).succeeded()
        return self._read(side, cases, at=str(folder))

    def run_in(self, client: Container, way: str, cases: Sequence[Case]) -> dict[str, Result]:
        """Carry out the cases with the git of a container."""
        side = self.side(way)
        self._lay_out(side, cases)
        script = ground.write_script(
            cases,
            url=f"{self.url}/{side}",
            folder=f"{_AT}/{side}",
            configuration=f"{_AT}/gitconfig",
            sockets={name: f"/run/{way}/{name}/airlock.sock" for name in _GRANTS},
        )
        user = ""
        if way == BOXED:
            # Who is in the boxes writes beside the container.
            user = f"{self.account.uid}:{self.account.gid}"
            script = f"export PATH={BOXED_GIT}:$PATH\n{script}"
        client.run("sh", "-s", cwd="/", user=user, stdin=script.encode()).succeeded()
        return self._read(side, cases, at=f"{_AT}/{side}")

    def side(self, way: str) -> str:
        """Return the name of a side's directories, here and at the server."""
        return f"{self.transport}-{way}"

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


def _command(way: str) -> str:
    return "git" if way == BOXED else "git-remote"
