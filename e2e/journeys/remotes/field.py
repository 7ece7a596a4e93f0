"""The two sides: a plain git of the person on the host, and a container's git through Airlock."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from e2e.journeys.remotes import ground
from e2e.journeys.remotes.case import Case, Transport
from e2e.journeys.remotes.ground import ROOT, Result
from e2e.world.account import Account
from e2e.world.airlock import ANY_REF, Agent, Airlock
from e2e.world.command import Completed, run
from e2e.world.container import Container, Setup
from e2e.world.executables import Executables
from e2e.world.git_server import GitServer
from e2e.world.project import TOOLS

WAYS = {"descriptors": "", "streamed": "[daemon]\npass_descriptors = false\n"}
"""How a conversation comes to the container, and what of the configuration says so."""

PLAIN = "plain"
BOX = "box"
"""The host's own git, in a box on the host, as a container runs it there."""

_BOX_MODULE = """\
[command]
bin = "/bin/sh"
[deny]
args = []
[sandbox]
box = "closed"
brokers = ["git"]
"""
_AT = "/remotes"
# All cases of a side together, on a machine that has much else to do.
_TIMEOUT_S = 600.0
# The workspace of boxes, which the daemon's own files may not lie in.
_BOXES = "/boxes"
_GRANTS = {
    "trusted": ANY_REF + "delete = true\npush_options = ['ci.skip']\n",
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
        self._boxes = account.make_directory(folder / "boxes")
        for place in (folder, self._boxes):
            account.write(place / "gitconfig", "[init]\n\tdefaultBranch = main\n")
        self.airlocks = {}
        self._agents: dict[tuple[str, str], Agent] = {}
        for way, more in {**WAYS, BOX: ""}.items():
            airlock = Airlock(
                executable=executables.daemon, account=account, folder=folder / f"daemon-{way}"
            )
            airlock.enable("git-remote", *([BOX] if way == BOX else []), more=more)
            self.airlocks[way] = airlock
            for name, lines in _GRANTS.items():
                self.add_agent(way, name, [f"{self.url.removeprefix('ssh://')}/**"], lines)

    def add_agent(self, way: str, name: str, places: Sequence[str], lines: str = "") -> None:
        """Register an agent that may push to `places`, before the daemon of that way starts."""
        commands = json.dumps(["git-remote", *([BOX] if way == BOX else [])])
        profile = f"commands = {commands}\n[git]\npush = {json.dumps(places)}\n{lines}"
        modules = {BOX: _BOX_MODULE} if way == BOX else {}
        self._agents[way, name] = self.airlocks[way].add_agent(
            name, profile=profile, modules=modules
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have the daemons, and a clone of which each case gets a copy."""
        clone = f"{self.url}/templates/before.git"
        for place in (self._folder, self._boxes):
            self._run("git", "clone", "--quiet", "--template=", clone, f"{place}/clone").succeeded()
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

    def setup_boxes(self, image: str) -> Setup:
        """Describe a container whose workspace is that of the boxes, and nothing around it."""
        mounts = {**self.setup(image).mounts, _BOXES: (self._boxes, "rw")}
        del mounts[_AT]
        return Setup(image=image, mounts=mounts)

    def mount_shim(self, setup: Setup) -> Setup:
        """Add the shim to a container that has none."""
        names = ("airlock-shim", BOX)
        shims = {f"/usr/local/bin/{name}": (self._shim, "ro") for name in names}
        mounts = {**setup.mounts, **shims}
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
        return self._read(folder, cases, at=str(folder))

    def run_in(
        self,
        client: Container,
        name: str,
        cases: Sequence[Case],
        *,
        way: str = "descriptors",
        program: str = "sh",
        path: str = "",
    ) -> dict[str, Result]:
        """Carry out the cases with the git of a container, as the side of that name.

        `program` is the shell for it, with `path` as PATH where that is not the container's.
        """
        side = self.side(name)
        folder = self._lay_out(side, cases)
        script = ground.write_script(
            cases,
            url=f"{self.url}/{side}",
            folder=f"{_AT}/{side}",
            configuration=f"{_AT}/gitconfig",
            sockets={name: f"/run/{way}/{name}/airlock.sock" for name in _GRANTS},
        )
        variables = {"PATH": path} if path else {}
        client.run(
            program, "-s", cwd="/", env=variables, stdin=script.encode(), longest_s=_TIMEOUT_S
        ).succeeded()
        return self._read(folder, cases, at=f"{_AT}/{side}")

    def run_in_boxes(self, client: Container, cases: Sequence[Case]) -> dict[str, Result]:
        """Carry out the cases with the host's git in a box of each agent, over one relay."""
        side = self.side(BOX)
        folder = self._lay_out(side, cases, self._boxes)
        for name in _GRANTS:
            script = ground.write_script(
                [case for case in cases if case.agent == name],
                url=f"{self.url}/{side}",
                folder=f"{_BOXES}/{side}",
                configuration=f"{_BOXES}/gitconfig",
                sockets={},
            )
            socket = {"AIRLOCK_SOCKET": f"/run/{BOX}/{name}/airlock.sock"}
            client.run(
                *(f"/usr/local/bin/{BOX}", "-s"),
                cwd=_BOXES,
                env=socket,
                stdin=script.encode(),
                longest_s=_TIMEOUT_S,
            ).succeeded()
        return self._read(folder, cases, at=f"{_BOXES}/{side}")

    def side(self, way: str) -> str:
        """Return the name of a side's directories, here and at the server."""
        return f"{self.transport}-{way}"

    def _lay_out(self, side: str, cases: Iterable[Case], below: Path | None = None) -> Path:
        ground.lay_out(self.server, side, cases)
        return self.account.make_directory((below or self._folder) / side)

    def _read(self, folder: Path, cases: Iterable[Case], *, at: str) -> dict[str, Result]:
        refs = ground.read_remote_refs(self.server, folder.name)
        return {case.id: ground.read_result(folder, case, refs[case.id], at=at) for case in cases}

    def _run(self, *argv: str, stdin: bytes = b"") -> Completed:
        account = self.account
        environment = account.environment(path=TOOLS)
        return run(
            argv,
            cwd="/",
            env=environment,
            uid=account.uid,
            gid=account.gid,
            stdin=stdin,
            longest_s=_TIMEOUT_S,
        )
