"""Two agents of one daemon: neither has the other's socket, commands, workspace or credentials."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from e2e.world.airlock import ANY_REF
from e2e.world.command import Completed
from e2e.world.container import SOCKET, Container
from e2e.world.git_server import GitServer, running_git_server
from e2e.world.home import add_key
from e2e.world.images import Images
from e2e.world.keys import KeyPair
from e2e.world.project import Project
from e2e.world.scene import Scene, Stage

GRANTS = {"builder": ("git",), "deployer": ("git", "linger")}
"""What each may use: git with a key of its own, at a server of its own; one a tool besides."""
LINGER = '[command]\nbin = "true"\n[deny]\nargs = []\n[sandbox]\nbox = "closed"\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One of the two: its agent, its project, its key, the server that lets it in, a container."""

    scene: Scene
    key: KeyPair
    server: GitServer
    client: Container

    def push(self, where: str) -> Completed:
        """Push the project's commit to a branch that has the agent's name."""
        return self.client.run("git", "push", where, f"HEAD:refs/heads/{self.scene.agent.name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both of them, under one daemon."""

    builder: Party
    deployer: Party

    def each(self) -> list[tuple[Party, Party]]:
        """Return each with the other one."""
        return [(self.builder, self.deployer), (self.deployer, self.builder)]


@pytest.fixture(scope="module")
def pair(stages: dict[str, Stage], images: Images, server: GitServer) -> Iterator[Pair]:
    """Return the two, of the ordinary account, with their containers running."""
    stage = stages["user"]
    account = stage.account
    with ExitStack() as stack:
        other = stack.enter_context(running_git_server(images.git_server))
        servers = {"builder": server, "deployer": other}
        with (account.home / ".ssh" / "known_hosts").open("a") as known_hosts:
            known_hosts.write(servers["deployer"].known_hosts())
        keys = {name: add_key(account, name) for name in GRANTS}
        for name, key in keys.items():
            servers[name].authorize(key)
        main = stage.scene(commands=("git", "linger"), start=False)
        stack.callback(stage.clear)
        parties = {}
        for name, commands in GRANTS.items():
            folder = main.project.path.with_name(f"two-agents-{name}")
            project = Project.make(account, folder, servers[name].make_repository(name))
            profile = _profile(
                name, commands, project, ports=[each.port for each in servers.values()]
            )
            # Both have its rules, and one is granted it.
            modules = {"linger": LINGER}
            agent = main.airlock.add_agent(name, profile=profile, modules=modules)
            scene = dataclasses.replace(main, agent=agent, project=project)
            parties[name] = (scene, keys[name], servers[name])
        main.airlock.start()
        made = {}
        for name, (scene, key, own) in parties.items():
            client = stack.enter_context(scene.setup(scene.images.debian).running())
            made[name] = Party(scene=scene, key=key, server=own, client=client)
        yield Pair(**made)


def _profile(
    name: str, commands: tuple[str, ...], project: Project, *, ports: Sequence[int]
) -> str:
    places = [f"git@127.0.0.1:{port}/**" for port in ports]
    variables = {"GIT_SSH_COMMAND": f"ssh -o IdentitiesOnly=yes -i ~/.ssh/{name}"}
    settings = ", ".join(f"{key} = {json.dumps(value)}" for key, value in variables.items())
    return (
        f"commands = {json.dumps(commands)}\n\n"
        f"[workspace]\nmounts = {{ '/workspace' = {json.dumps(str(project.path))} }}\n\n"
        f"[env]\nset = {{ {settings} }}\n\n"
        f"[git]\npush = {json.dumps(places)}\n{ANY_REF}"
    )


def test_each_is_let_in_by_its_own_key(pair: Pair) -> None:
    """The control: at the server that knows its agent's key a push arrives, with that key."""
    for party, _ in pair.each():
        party.push("origin").succeeded()
        repository = party.scene.project.repository
        assert repository.commit(party.scene.agent.name) == party.scene.project.head()
        assert repository.keys_used() == [party.key.public]


def test_neither_has_the_others_key(pair: Pair) -> None:
    """The other's server lets it in by neither the key it has nor one that it asks for."""
    for party, other in pair.each():
        repository = other.scene.project.repository
        refused = party.push(repository.url)
        assert refused.exit_code == 128
        assert "Permission denied (publickey)" in refused.stderr
        wish = f"ssh -i ~/.ssh/{other.scene.agent.name}"
        for argv, status in (
            (("env", f"GIT_SSH_COMMAND={wish}", "git", "fetch", repository.url), 128),
            (("git", "-c", f"core.sshCommand={wish}", "fetch", repository.url), 128),
        ):
            assert party.client.run(*argv).exit_code == status, argv
        assert repository.commit(party.scene.agent.name) is None


def test_neither_has_the_others_commands(pair: Pair) -> None:
    """What one profile grants is refused to the other agent, and its log record says by what."""
    pair.deployer.client.run("linger").succeeded()
    refused = pair.builder.client.run("linger")
    assert refused.exit_code == 126
    assert refused.stderr.startswith("airlock: ")
    last = pair.builder.scene.airlock.audit()[-1]
    assert (last["profile"], last["outcome"], last["layer"]) == ("builder", "denied", "profile")


def test_neither_has_the_others_socket(pair: Pair) -> None:
    """A container has the one socket that was mounted, can make no other of it, and names none."""
    for party, other in pair.each():
        party.client.run("test", "-S", SOCKET, cwd="/").succeeded()
        assert party.client.run("ls", "-A", "/run/airlock", cwd="/").stdout == "airlock.sock"
        assert party.client.run("touch", "/run/airlock/more", cwd="/").exit_code != 0
        for name in (
            other.scene.agent.socket_file,
            other.scene.agent.socket_directory / "airlock.sock",
            f"/run/airlock/../{other.scene.agent.name}/airlock.sock",
        ):
            unreachable = party.client.run("env", f"AIRLOCK_SOCKET={name}", "git", "status")
            assert unreachable.exit_code == 125, unreachable


def test_claiming_to_be_the_other_changes_nothing(pair: Pair) -> None:
    """An id of the other's container is refused; so are its directories, under any name."""
    for party, other in pair.each():
        path = other.scene.project.path
        party.client.run("ln", "-sfn", str(path), "other").succeeded()
        for claim in (
            {"container_id": other.client.id},
            {"cwd": str(path)},
            {"cwd": "/workspace/other"},
            {"cwd": f"/workspace/../{path.name}"},
        ):
            response = party.client.ask("git", **{"args": ["log"], "cwd": "/workspace"} | claim)
            assert response["error"]["data"]["kind"] == "denied", claim
        for argv in (
            ("-C", str(path), "log"),
            ("-C", "other", "log"),
            (f"--git-dir={path}/.git", "log"),
        ):
            # In the box there is no such directory.
            assert party.client.run("git", *argv).exit_code == 128, argv
