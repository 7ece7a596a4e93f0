"""A container of `run` is a machine: tools of every day work in a plain Debian as on the host."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.world.executables import Executables
from e2e.world.git_server import GitServer, Repository, running_git_server
from e2e.world.home import MAIL, NAME
from e2e.world.images import make_git_server, make_workstation
from e2e.world.person import Person, newcomer
from e2e.world.project import Project
from e2e.world.scene import Stage

HOME = "/home/airlock-agent"
PROFILE = """\
commands = ["git-remote", "ssh"]
[git]
push = ["git@127.0.0.1:{port}/srv/**"]
refs = ["refs/heads/**", "refs/tags/**"]
[ssh]
hosts = ["guest@127.0.0.1:{port}"]
[workspace]
same_path = ["{project}"]
"""
CRATE = '[package]\nname = "{}"\nversion = "0.1.0"\n[lib]\npath = "lib.rs"\n'
PLAYBOOK = """\
- hosts: all
  tasks:
    - copy: {src: notes.txt, dest: ~/ansible}
    - command: id -un
      register: asked
    - fetch: {src: ~/ansible, dest: fetched, flat: true}
    - debug: {msg: "{{ ansible_facts.hostname }} is {{ asked.stdout }}'s"}
"""
HOOKS = "- {id: hello, name: hello, entry: ./hello, language: script, files: notes}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A person with a project whose agent has git-remote and ssh, and the image that it runs."""

    person: Person
    project: Project
    server: GitServer
    image: str

    def run(self, line: str, *, cwd: Path | None = None) -> str:
        """Return what bash prints of a line in a container of `run`; it must succeed."""
        words = shlex.join(("airlock-daemon", "run", "my", self.image, "bash", "-euc", line))
        return self.person.run(words, cwd=cwd or self.project.path)

    def publish(self, name: str, files: dict[str, str]) -> Repository:
        """Make a repository with these files, executable ones, tagged v1, at the server."""
        repository = self.server.make_repository(name)
        path = self.project.path.parent / name
        other = Project.make(self.project.account, path, repository)
        for file, text in files.items():
            other.account.write(path / file, text, mode=0o755)
        other.git("add", ".").succeeded()
        other.git("commit", "--quiet", "--message=files").succeeded()
        other.git("tag", "v1").succeeded()
        other.git("push", "--quiet", "origin", "HEAD:main", "v1").succeeded()
        return repository


@pytest.fixture(scope="module")
def place(stages: dict[str, Stage], executables: Executables, ground: Path) -> Iterator[Place]:
    """Return a person whose agent may log in to the server, and push to it."""
    stage = stages["user"]
    account = stage.account
    image = make_workstation()
    with running_git_server(make_git_server(image)) as server:
        server.authorize(stage.key)
        known = account.home / ".ssh/known_hosts"
        before = known.read_text()
        account.write(known, before + server.known_hosts())
        project = Project.make(account, ground / "machine", server.make_repository("machine"))
        try:
            with newcomer(account, executables) as person:
                add = "agent add my --workspace . --command git-remote --command ssh --yes"
                person.run(f"airlock-daemon {add}", cwd=project.path)
                profile = PROFILE.format(port=server.port, project=project.path)
                account.write(person.files / "agents/my/airlock.toml", profile, mode=0o600)
                with person.start(said=ground / "machine.log"):
                    yield Place(person=person, project=project, server=server, image=image)
        finally:
            account.write(known, before)


def test_its_user_has_an_account_and_a_home(place: Place) -> None:
    """Which the image does not have; node asks the password database, and git the home."""
    account = place.person.account
    asked = "console.log(JSON.stringify(require('os').userInfo()))"
    user = json.loads(place.run(f"node -e {shlex.quote(asked)}"))
    assert (user["uid"], user["username"], user["homedir"]) == (account.uid, account.name, HOME)
    assert place.run("id -un; id -gn; echo ~").split() == [account.name, account.name, HOME]
    place.run("echo kept >~/kept")
    assert place.run("cat ~/kept") == "kept"


def test_a_login_shell_finds_the_commands(place: Place) -> None:
    """Debian's sets PATH anew; what the shim asks for is done."""
    ssh = f"ssh -p {place.server.port} guest@127.0.0.1"
    assert place.run("bash -lc 'command -v ssh'") == "/opt/airlock-commands/ssh"
    assert place.run(f"bash -lc '{ssh} id -un'") == "guest"


def test_files_go_to_another_machine_and_come_back(place: Place) -> None:
    """By scp, sftp and rsync, which call ssh by its absolute path or by its name."""
    port = place.server.port
    text = (place.project.path / "notes.txt").read_text()
    for name, there, back in (
        (
            "scp",
            f"scp -q -P {port} notes.txt guest@127.0.0.1:scp",
            f"scp -q -P {port} guest@127.0.0.1:scp ~/scp",
        ),
        (
            "sftp",
            f"echo put notes.txt sftp | sftp -q -P {port} -b - guest@127.0.0.1",
            f"sftp -q -P {port} guest@127.0.0.1:sftp ~/sftp",
        ),
        (
            "rsync",
            f"rsync -a -e 'ssh -p {port}' notes.txt guest@127.0.0.1:rsync",
            f"rsync -a -e 'ssh -p {port}' guest@127.0.0.1:rsync ~/rsync",
        ),
    ):
        place.run(f"{there} && {back} && cmp notes.txt ~/{name}")
        assert place.server.run("cat", f"/home/guest/{name}").stdout == text.rstrip("\n")


def test_commits_have_the_persons_name_unless_the_repository_says_another(place: Place) -> None:
    """And are pushed; nobody has configured anything in the container."""
    commit = "git commit -q --allow-empty -m here && git log -1 --format='%an <%ae>'"
    assert place.run(f"{commit} && git push -q origin HEAD:refs/heads/mine") == f"{NAME} <{MAIL}>"
    assert place.project.repository.commit("mine") == place.project.head()
    own = "git config user.name Bot; git config user.email bot@example.org"
    done = place.run(
        f"{own}; {commit}; git config --unset user.name; git config --unset user.email"
    )
    assert done == "Bot <bot@example.org>"


def test_worktrees_push_wherever_they_are(place: Place) -> None:
    """Inside of the workspace, in the home, and where only the container sees it."""
    for number, path in enumerate(("inside", "~/outside", "/tmp/outside")):
        add = f"git worktree add -q -b tree{number} {path} && cd {path}"
        place.run(
            f"{add} && git commit -q --allow-empty -m tree && git push -q origin HEAD && "
            f"cd - && git worktree remove {path}"
        )
        tip = place.project.git("rev-parse", f"tree{number}").succeeded().stdout
        assert place.project.repository.commit(f"tree{number}") == tip


def test_it_begins_where_it_is_called(place: Place) -> None:
    """Below the workspace too; elsewhere in the workspace, and that is said."""
    account = place.person.account
    deep = account.make_directory(place.project.path / "deep")
    assert place.run("pwd", cwd=deep) == str(deep)
    line = f"airlock-daemon run my {place.image} pwd"
    done = place.person.try_line(line, cwd=account.home)
    assert done.stdout == str(place.project.path)
    assert f'"{account.home}" is in no workspace of the agent' in done.stderr


def test_cargo_fetches_a_dependency_over_ssh(place: Place) -> None:
    """By the git of the container."""
    url = place.publish("dep", {"Cargo.toml": CRATE.format("dep"), "lib.rs": ""}).url
    main = CRATE.format("main") + f'[dependencies]\ndep.git = "{url}"\n'
    folder = place.person.account.make_directory(place.project.path / "crate")
    place.person.account.write(folder / "Cargo.toml", main)
    place.person.account.write(folder / "lib.rs", "")
    place.run("cargo fetch -q", cwd=folder)
    assert 'name = "dep"' in (folder / "Cargo.lock").read_text()


def test_ansible_plays_on_another_machine(place: Place) -> None:
    """By its own settings: it asks for a master of its own, which the daemon leaves out."""
    path, account = place.project.path, place.person.account
    at = f"ansible_host=127.0.0.1 ansible_port={place.server.port} ansible_user=guest"
    account.write(path / "inventory", f"other {at}\n")
    account.write(path / "play.yaml", PLAYBOOK)
    said = place.run("ansible-playbook -i inventory play.yaml")
    assert "guest's" in said
    assert "changed=3" in said
    text = (path / "notes.txt").read_text()
    assert (path / "fetched").read_text() == text
    assert place.server.run("cat", "/home/guest/ansible").stdout == text.rstrip("\n")


def test_pre_commit_gets_hooks_by_a_url_with_a_port(place: Place) -> None:
    """It takes GIT_SSH_VARIANT from git's environment."""
    files = {
        ".pre-commit-hooks.yaml": HOOKS,
        "hello": "#!/bin/sh\necho hello from the hook\nexit 1\n",
    }
    url = place.publish("hooks", files).url
    file = place.project.path / "hooks.yaml"
    text = f"repos: [{{repo: '{url}', rev: v1, hooks: [{{id: hello}}]}}]\n"
    place.person.account.write(file, text)
    said = place.run("pre-commit run --all-files --config hooks.yaml || :")
    assert "hello from the hook" in said


def test_the_printed_lines_give_the_same_machine(place: Place) -> None:
    """Those for compose and devcontainers, which know no image."""
    person, path = place.person, place.project.path
    said = {
        form: person.run(f"airlock-daemon agent add my --print {form}", cwd=path)
        for form in ("compose", "devcontainer")
    }
    compose = said["compose"].replace("IMAGE", place.image)
    person.account.write(path / "compose.yaml", compose)
    person.account.make_directory(path / ".devcontainer")
    made = json.loads(said["devcontainer"])
    words = ["docker", "run", "--rm", f"--workdir={made['workspaceFolder']}"]
    words += [f"--mount={mount}" for mount in (made["workspaceMount"], *made["mounts"])]
    words += [f"--env={name}={value}" for name, value in made["containerEnv"].items()]
    words += [f"--user={made['containerUser']}", place.image]
    for line in ("docker compose run --rm agent", shlex.join(words)):
        ask = "id -un; echo ~; git config user.name; command -v ssh"
        shown = person.run(f"{line} bash -lc {shlex.quote(ask)}", cwd=path)
        name = person.account.name
        assert shown.splitlines() == [name, HOME, NAME, "/usr/local/bin/ssh"]
    person.run("docker compose down", cwd=path)


def test_the_command_line_of_development_containers_gives_the_same_machine(
    place: Place, devcontainer: str
) -> None:
    """By the printed devcontainer.json alone: the container pushes, and its user is the person."""
    person, path = place.person, place.project.path
    said = person.run("airlock-daemon agent add my --print devcontainer", cwd=path)
    folder = path / ".devcontainer/airlock"
    person.run(f"mkdir -p {folder}", cwd=path)
    text = said.replace("IMAGE", place.image)
    person.account.write(folder / "devcontainer.json", text)
    at = f"--workspace-folder {path} --config {folder}/devcontainer.json"
    begun = json.loads(person.run(f"{devcontainer} up {at}", cwd=path).splitlines()[-1])
    try:
        assert begun["outcome"] == "success"
        assert begun["remoteWorkspaceFolder"] == str(path)
        ask = "id -un; echo ~; git config user.name; command -v ssh; pwd"
        push = "git commit -q --allow-empty -m dev && git push -q origin HEAD:refs/heads/dev"
        line = f"{devcontainer} exec {at} bash -lc {shlex.quote(f'{ask}; {push}')}"
        shown = person.run(line, cwd=path).splitlines()
        assert shown == [person.account.name, HOME, NAME, "/usr/local/bin/ssh", str(path)]
        assert place.project.repository.commit("dev") == place.project.head()
    finally:
        person.run(f"docker rm --force {begun['containerId']}", cwd=path)
