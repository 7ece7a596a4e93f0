"""Large files of Git LFS: a container's own git and git-lfs, and a server that checks who asks."""

import base64
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.world.command import run
from e2e.world.executables import Executables
from e2e.world.images import Images
from e2e.world.lfs_server import LfsServer, running_lfs
from e2e.world.need import need
from e2e.world.person import Person, newcomer
from e2e.world.project import Project
from e2e.world.scene import Stage

from .errands.git import USER, GitOverHttps

PASSWORD = f"password-{os.urandom(12).hex()}"
SIZE = 20 << 20
TRACK = "git lfs install --local; git lfs track '*.bin'; git add .gitattributes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A person with a project, whose agent `my` has git-remote; `line` runs a container of it."""

    person: Person
    project: Project
    lfs: LfsServer
    line: str

    def run(self, script: str) -> str:
        """Return what a script prints in a container, with all that git-lfs has to tell."""
        # One stream: docker keeps no order between two.
        lines = f"exec 2>&1\nset -ex\n{script}\n"
        path = self.person.account.write(self.project.path / "script", lines)
        shown = f"{self.line} sh -c '. ./script' 2>&1"
        try:
            return self.person.run(shown, cwd=self.project.path)
        finally:
            path.unlink()


@pytest.fixture(scope="module")
def git_lfs(ground: Path) -> Path:
    """Debian's git-lfs, unpacked."""
    folder = ground / "git-lfs"
    folder.mkdir()
    fetch = "apt-get download git-lfs && dpkg-deb --extract git-lfs_*.deb ."
    done = run(("sh", "-c", fetch), cwd=str(folder))
    if done.exit_code != 0:
        need(f"git-lfs cannot be had by apt-get: {done.stderr}")
    return folder / "usr/bin/git-lfs"


@pytest.fixture(scope="module")
def place(
    stages: dict[str, Stage],
    git_https_errand: GitOverHttps,
    executables: Executables,
    images: Images,
    git_lfs: Path,
    ground: Path,
) -> Iterator[Place]:
    """Return a person whose remotes have a server of large files, each in its own way."""
    stage = stages["user"]
    account = stage.account
    repository = stage.server.make_repository("large")
    project = Project.make(account, ground / "large", repository)
    project.git("remote", "add", "web", repository.web_url).succeeded()
    basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    certificates = ground / "lfs"
    certificates.mkdir(mode=0o755)
    settings = account.home / ".gitconfig"
    stored = account.home / ".git-credentials"
    kept = {file: file.read_text() for file in (settings, stored)}
    with (
        running_lfs(certificates, account=f"Basic {basic}") as lfs,
        newcomer(account, executables) as person,
    ):
        web = f"https://{lfs.web[0].place}"
        account.write(
            stored, f"{kept[stored]}{web.replace('://', f'://{USER}:{PASSWORD}@')}\n", mode=0o600
        )
        account.write(
            settings,
            f'{kept[settings]}[credential "{web}"]\n\thelper = store\n'
            f'[http "{web}"]\n\tsslCAInfo = {lfs.web[0].authority}\n',
        )
        commands = (
            "mkdir -p ~git/git-shell-commands && cat >~git/git-shell-commands/git-lfs-authenticate"
        )
        commands += " && chmod 755 ~git/git-shell-commands ~git/git-shell-commands/*"
        script = f"#!/bin/sh\ntest \"$1\" = {repository.path} && echo '{lfs.say_login()}'\n"
        stage.server.run("sh", "-c", commands, stdin=script.encode()).succeeded()
        person.run(
            "airlock-daemon agent add my --workspace . --command git-remote --yes", cwd=project.path
        )
        profile = person.files / "agents/my/airlock.toml"
        account.write(profile, profile.read_text().replace("push = [", f'push = ["{lfs.url}", '))
        with person.start(said=ground / "large.log"):
            mount = f"type=bind,source={git_lfs},target=/usr/bin/git-lfs,readonly"
            options = f"--docker-arg=--env=GIT_TRANSFER_TRACE=1 --docker-arg=--mount={mount}"
            line = f"airlock-daemon run my {options} {images.debian}"
            place = Place(person=person, project=project, lfs=lfs, line=line)
            place.run("git lfs install --skip-repo")
            yield place
    for file, text in kept.items():
        account.write(file, text, mode=0o600)


def test_large_files_are_pushed_and_cloned(place: Place) -> None:
    """Over ssh and https; nothing that the server was shown, or showed, is in the container."""
    lfs, project = place.lfs, place.project
    said = ""
    for remote in ("origin", "web"):
        content = os.urandom(SIZE)
        place.person.account.own(_write(project.path / "large.bin", content))
        url = project.git("remote", "get-url", remote).succeeded().stdout
        # The server of an https remote is named, that of ssh names itself.
        own = (
            f"remote.{remote}.lfsurl {lfs.url}"
            if remote == "web"
            else "lfs.skipdownloaderrors false"
        )
        clone = f"-c remote.origin.lfsurl={lfs.url}" if remote == "web" else ""
        said += place.run(
            f"{TRACK}; git config {own}; git add large.bin; git commit -qm {remote}\n"
            f"git push {remote} HEAD:refs/heads/agent/{remote}\n"
            f"git clone -q {clone} --branch agent/{remote} {url} copy-{remote}\n"
            f"cmp large.bin copy-{remote}/large.bin; env"
        )
        assert project.repository.commit(f"agent/{remote}") == project.head()
        assert content in lfs.objects.values()
        assert (project.path / f"copy-{remote}/large.bin").read_bytes() == content
    assert len(lfs.verified) == 2
    accounts = {asked.account for asked in lfs.web[0].asked if asked.path.endswith("/batch")}
    assert {f"RemoteAuth {lfs.token}", lfs.account} <= accounts
    secrets = (lfs.token, lfs.ticket, lfs.signature, PASSWORD, lfs.account.split()[1])
    seen = [
        said.encode(),
        *_list_content(project.path),
        *_list_content(place.person.account.home / ".local/share/airlock/containers"),
    ]
    for secret in secrets:
        assert not [each for each in seen if secret.encode() in each]
    log = place.person.run("airlock-daemon log tail -n 100", cwd=project.path)
    assert "git lfs upload git@" in log
    assert f"git lfs download {lfs.url.removeprefix('https://')} " in log


def test_a_push_that_is_refused_says_so(place: Place) -> None:
    """Of its refs by git, and of its objects by git-lfs."""
    place.person.account.own(_write(place.project.path / "more.bin", b"more"))
    other = place.project.repository.url.replace("large", "other")
    said = place.run(
        f"{TRACK}; git add more.bin; git commit -qm more\n"
        "git push origin HEAD:refs/heads/main || echo REFUSED\n"
        f"git remote add other {other}; git lfs push --all other || echo REFUSED"
    )
    assert said.count("\nREFUSED") == 2
    assert "allowed: refs/heads/agent/**" in said
    assert "airlock: this agent may not push to" in said


@pytest.mark.linux_only("boxes")
def test_in_a_box_they_come_and_go_too(place: Place, git_lfs: Path) -> None:
    """The git of the host runs what the repository says, which finds a git-lfs of the workspace."""
    person, project = place.person, place.project
    programs = person.account.make_directory(project.path / "programs")
    shutil.copy(git_lfs, programs)
    person.account.own(_write(project.path / "boxed.bin", content := os.urandom(SIZE)))
    person.account.write(
        project.path / "boxed",
        # Where the host has git-lfs, its filters are in the box's configuration.
        f"set -e; git lfs install --skip-repo; {TRACK}; git add boxed.bin; git commit -qm boxed\n"
        "git push origin HEAD:refs/heads/agent/boxed\n"
        f"git clone -q --branch agent/boxed {project.repository.url} copy-boxed\n",
    )
    project.git("config", "alias.boxed", f"!PATH={programs}:$PATH sh ./boxed").succeeded()
    person.run("airlock-daemon agent add box --workspace . --command git --yes", cwd=project.path)
    try:
        person.run("airlock-daemon run box airlock-e2e/busybox git boxed", cwd=project.path)
    finally:
        person.run("airlock-daemon agent remove box --yes", cwd=project.path)
    assert (project.path / "copy-boxed/boxed.bin").read_bytes() == content
    log = person.run("airlock-daemon log tail -n 20", cwd=project.path)
    assert "git lfs upload git@" in log
    assert "git lfs download git@" in log


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _list_content(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
