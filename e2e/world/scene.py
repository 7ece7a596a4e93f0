"""A scene: Airlock runs on the host with a registered agent and a project to push."""

import functools
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .account import Account
from .airlock import ANY_REF, Agent, Airlock
from .command import run
from .container import Setup, shim_links
from .executables import Executables
from .git_server import GitServer
from .home import ssh_command
from .images import Images
from .keys import KeyPair
from .project import Project

AGENT = "my-agent"
COMMANDS = ("docker", "git", "ssh")
"""The commands of a workshop's agent."""

GIT_SSH = "/usr/local/bin/git-ssh"
"""The path of the shim as ssh of a container's own git."""

UNMAPPED = "commands = []\n"
"""A profile that grants the whole ceiling; the workspace is the container's own mount."""
MAPPED = UNMAPPED + "\n[workspace]\nmounts = { '/workspace' = {project} }\n"
"""The same, but the profile maps the project to /workspace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One agent of one account, with the project that is its workspace."""

    images: Images
    executables: Executables
    airlock: Airlock
    agent: Agent
    project: Project

    def setup(self, image: str, *options: str, user: str = "0", workspace: str = "rw") -> Setup:
        """Describe a container of the agent.

        `workspace` is how the project is mounted at /workspace: "ro", "rw", or "" for not at all.
        `options` go to `docker run`.
        """
        mounts = {"/run/airlock": (self.agent.socket_directory, "ro")}
        if image != self.images.shim:
            mounts |= shim_links(self.executables.shim)
        if workspace:
            mounts["/workspace"] = (self.project.path, workspace)
        return Setup(image=image, mounts=mounts, user=user, options=options)

    def own_git(self, image: str, *, user: str = "0") -> Setup:
        """Describe a container whose own git, Debian's or alone, works in /workspace.

        It reaches remotes through the shim, as `airlock-daemon run` sets it up.
        """
        mounts = {
            "/run/airlock": (self.agent.socket_directory, "ro"),
            "/workspace": (self.project.path, "rw"),
        }
        variables = {
            # The workspace may be owned by a user other than the container's.
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }
        if image == self.images.git_alone:
            variables["PATH"] = "/usr/bin"
        else:
            shim = (self.executables.shim.resolve(), "ro")
            mounts |= {GIT_SSH: shim, "/usr/lib/git-core/git-remote-https": shim}
            variables |= {"GIT_SSH_COMMAND": GIT_SSH, "GIT_SSH_VARIANT": "ssh"}
        options = tuple(f"--env={name}={value}" for name, value in variables.items())
        return Setup(image=image, mounts=mounts, user=user, options=options)


class Stage:
    """Makes scenes for one account, each with its own daemon, below `ground`.

    `clear` stops the daemons of a test's own scenes, `close` every daemon started here.
    """

    def __init__(
        self,
        *,
        account: Account,
        key: KeyPair,
        ground: Path,
        images: Images,
        server: GitServer,
        executables: Executables,
    ) -> None:
        self.account = account
        self.key = key
        self.server = server
        self._ground = ground
        self._images = images
        self._executables = executables
        self._running: list[Airlock] = []
        self._number = itertools.count()

    @functools.cached_property
    def shared(self) -> Scene:
        """A scene whose profile maps the workspace, for tests that do not change it."""
        scene = self.scene()
        self._running.remove(scene.airlock)
        return scene

    @functools.cached_property
    def workshop(self) -> Scene:
        """A scene whose agent may use all COMMANDS, for tests that do not change it."""
        scene = self.open_workshop()
        self._running.remove(scene.airlock)
        return scene

    @functools.cached_property
    def remotes(self) -> Scene:
        """A scene whose agent may push to the server, for tests that do not change it."""
        scene = self.open_remotes()
        self._running.remove(scene.airlock)
        return scene

    def open_remotes(self, *, environment: Mapping[str, str] | None = None) -> Scene:
        """Make a scene whose agent has only git-remote, over ssh and https to the server.

        Its profile sets `environment`.
        """
        places = (
            f"git@127.0.0.1:{self.server.port}/srv/**",
            f"{self.server.web.removeprefix('https://')}/git/**",
        )
        profile = f'commands = ["git-remote"]\n[git]\npush = {json.dumps(places)}\n{ANY_REF}'
        return self.scene(profile=profile, commands=("git-remote",), environment=environment)

    def open_workshop(
        self, *, environment: Mapping[str, str] | None = None, start: bool = True
    ) -> Scene:
        """Make a scene whose agent may use all COMMANDS; its profile sets `environment` too."""
        return self.scene(
            commands=COMMANDS,
            modules=self.modules(),
            environment=environment,
            start=start,
        )

    def modules(self) -> dict[str, str]:
        """Return the module overrides that the account needs.

        ssh uses root's real home, so for root the built-in module gets an option with the paths of
        the run's files.
        """
        if self.account.uid != 0:
            return {}
        text = run((str(self._executables.daemon), "show", "ssh")).succeeded().out.decode()
        option = json.dumps(f"-F{self.account.home}/.ssh/config")
        return {"ssh": f"{text}\n[args]\nprepend = [{option}]\n"}

    def scene(
        self,
        *,
        profile: str | None = None,
        commands: Sequence[str] = ("git", "ssh"),
        modules: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        start: bool = True,
    ) -> Scene:
        """Make a scene with an agent AGENT and, by default, start its daemon.

        `profile` is the agent's, by default MAPPED; in it `{project}` expands to the project's path
        as a TOML string, and `environment` and the grants of ssh, git and docker for this run's
        servers and images are added. The ceiling is `commands` and the agent's own `modules` by
        command.
        """
        label = f"{self.account.name}-{next(self._number)}"
        airlock = Airlock(
            executable=self._executables.daemon,
            account=self.account,
            folder=self._ground / label,
        )
        self._running.append(airlock)
        airlock.enable(*dict.fromkeys((*commands, *(modules or {}))))
        project = Project.make(
            self.account, self._ground / f"{label}-project", self.server.make_repository(label)
        )
        text = (profile or MAPPED).replace("{project}", json.dumps(str(project.path)))
        hosts = json.dumps([f"{name}:{self.server.port}" for name in ("127.0.0.1", "localhost")])
        text += f"\n[ssh]\nhosts = {hosts}\n"
        if "\n[git]" not in text:
            places = (f"git@127.0.0.1:{self.server.port}/**", f"{self.server.web}/**")
            text += f"\n[git]\npush = {json.dumps(places)}\n{ANY_REF}"
        if "docker" in commands:
            text += '\n[docker]\nimages = ["docker.io/airlock-e2e/*"]\npush = ["127.0.0.1:*/**"]\n'
        variables = {**ssh_command(self.account), **(environment or {})}
        if variables:
            assignments = (f"{name} = {json.dumps(value)}" for name, value in variables.items())
            text += f"\n[env]\nset = {{ {', '.join(assignments)} }}\n"
        agent = airlock.add_agent(AGENT, profile=text, modules=modules)
        if start:
            airlock.start()
        return Scene(
            images=self._images,
            executables=self._executables,
            airlock=airlock,
            agent=agent,
            project=project,
        )

    def clear(self) -> None:
        """Stop the daemons of all scenes but the shared ones."""
        while self._running:
            self._running.pop().end()

    def close(self) -> None:
        """Stop the daemons of all scenes."""
        self.clear()
        for name in ("shared", "remotes", "workshop"):
            if name in self.__dict__:
                getattr(self, name).airlock.end()
