"""What makes git run a program, put where a scan could overlook it: each is listed, or missed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

AS_PLAIN_USER = ("setpriv", "--bounding-set=-all", "--") if os.geteuid() == 0 else ()
"""Root reads everything. Without its capabilities it is held to the modes of its files."""
SCAN = """
import json, sys
from airlock_daemon.admin.scan.scanning import scan
found = scan(sys.argv[1])
print(json.dumps([[each.path for each in found.items], found.missed]))
"""
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_{what}": "a" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


class Project:
    """A repository with a commit, and a program that leaves a mark."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "project"
        self.mark = directory / "mark"
        self.outside = directory / "outside"
        self.outside.mkdir()
        self.program = f"#!/bin/sh\n: >{self.mark}\n"
        self.path.mkdir()
        (self.path / "file").write_text("x")
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", "file")
        self.git("commit", "--quiet", "--message=x")

    def git(self, *words: str, cwd: str = "") -> None:
        """Run git as a person does, whatever becomes of it."""
        command = [*AS_PLAIN_USER, "git", *words]
        subprocess.run(
            command, cwd=self.path / cwd, env=ENVIRONMENT, capture_output=True, check=False
        )

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        """Write a file, with the directories that it lies in."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def mark_by(self, name: str) -> None:
        """Have a program there."""
        self.write(name, self.program, 0o755)

    def bare(self, name: str) -> None:
        """Have a bare repository there that runs a program when it is pushed to."""
        self.git("init", "--quiet", "--bare", name)
        self.mark_by(f"{name}/hooks/pre-receive")

    def watched(self, name: str, program: str) -> None:
        """Have a repository there whose git status runs a program of the directory it is for."""
        self.git("init", "--quiet", "--bare", name)
        self.write(f"{name}/config", f"[core]\n\tbare = false\n\tfsmonitor = ./{program}\n")

    def scan(self) -> tuple[list[str], str]:
        """The paths of what is listed, and what was missed."""
        command = [*AS_PLAIN_USER, sys.executable, "-c", SCAN, str(self.path)]
        done = subprocess.run(command, capture_output=True, check=True, text=True)
        items, missed = json.loads(done.stdout)
        return items, missed


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(Path(os.path.realpath(tmp_path)))


def hook_of_gc(project: Project) -> None:
    project.mark_by(".git/gc-hook")
    for name, value in (("recentObjectsHook", f"{project.path}/.git/gc-hook"), ("auto", "1")):
        project.git("config", f"gc.{name}", value)
    for setting in ("cruftPacks=true", "autoDetach=false", "pruneExpire=now"):
        project.git("config", *f"gc.{setting}".split("="))
    # Something that nothing refers to, for gc to ask about.
    project.write("loose", "loose")
    project.git("hash-object", "-w", "loose")


def remote_in_objects(project: Project) -> None:
    project.bare(".git/objects/e")
    project.git("config", "remote.pushDefault", ".git/objects/e")
    project.git("config", "push.default", "current")


def remote_in_logs(project: Project) -> None:
    project.bare(".git/logs/e")
    project.git("config", "branch.main.remote", ".git/logs/e")
    project.git("config", "push.default", "current")


def old_remotes_file(project: Project) -> None:
    project.bare(".git/lfs/e")
    project.write(".git/remotes/origin", "URL: .git/lfs/e\n")
    project.git("config", "push.default", "current")


def old_branches_file(project: Project) -> None:
    project.bare(".git/lfs/e")
    project.write(".git/branches/origin", ".git/lfs/e\n")
    project.git("config", "push.default", "current")


def hooks_without_list(project: Project) -> None:
    project.mark_by(".git/hooks/post-checkout")
    (project.path / ".git/hooks").chmod(0o311)


def repository_without_list(project: Project) -> None:
    project.mark_by(".git/program")
    project.git("config", "core.fsmonitor", ".git/program")
    (project.path / ".git").chmod(0o311)


def bare_without_list(project: Project) -> None:
    project.watched("deep/e/.git", "program")
    project.mark_by("deep/e/program")
    (project.path / "deep").chmod(0o311)


def hook_without_reading(project: Project) -> None:
    """A program that can be executed alone: touch(1), by the name of the mark."""
    touch = Path("/usr/bin/touch").read_bytes()
    hook = project.path / ".git/hooks/post-checkout"
    hook.write_bytes(touch)
    hook.chmod(0o111)


def linked_commondir(project: Project) -> None:
    for name in ("objects", "refs", "config"):
        (project.path / "evil").mkdir(exist_ok=True)
        subprocess.run(["cp", "-a", f".git/{name}", "evil"], cwd=project.path, check=True)
    project.write(".git/c", "../evil\n")
    (project.path / ".git/commondir").symlink_to("c")
    project.mark_by("program")
    project.write("evil/config", "[core]\n\tfsmonitor = ./program\n")


def blank_behind_path(project: Project) -> None:
    (project.path / ".git/objects/e").mkdir()
    project.watched(".git/objects/e ", "program")
    project.mark_by("sub/program")
    project.write("sub/.git", "gitdir: ../.git/objects/e \n")


def path_through_link(project: Project) -> None:
    """By its text it is sub/e. For the kernel it lies beside what the link leads to."""
    (project.path / ".git/objects/deep/x").mkdir(parents=True)
    project.watched(".git/objects/deep/e", "program")
    project.mark_by("sub/program")
    (project.path / "sub/e").mkdir()
    (project.path / "sub/l").symlink_to("../.git/objects/deep/x")
    project.write("sub/.git", "gitdir: l/../e\n")


def worktree_through_link(project: Project) -> None:
    (project.path / "out").symlink_to(project.outside)
    project.write("mark", "")
    project.git("add", "mark")
    project.git("commit", "--quiet", "--message=x")
    project.git("config", "core.worktree", "../out")
    project.mark = project.outside / "mark"


def worktree_with_blank(project: Project) -> None:
    worktree_through_link(project)
    (project.path / "out").rename(project.path / "out ")
    config = project.path / ".git/config"
    config.write_text(config.read_text().replace("../out", '"../out "'))


DEEP = "/".join("d" * 70)


def deep_repository(project: Project) -> None:
    project.watched(f"{DEEP}/.git", "program")
    project.mark_by(f"{DEEP}/program")


def linked_config(project: Project) -> None:
    """What it includes is beside the link, and not beside what the link leads to."""
    project.mark_by("program")
    project.write("elsewhere", "[include]\n\tpath = more\n")
    (project.path / ".git/config").unlink()
    (project.path / ".git/config").symlink_to("../elsewhere")
    project.write(".git/more", "[core]\n\tfsmonitor = ./program\n")


def sample_directory(project: Project) -> None:
    project.bare(".git/hooks/e.sample")
    project.git("config", "push.default", "current")
    project.write(".git/remotes/origin", "URL: .git/hooks/e.sample\n")


Make = Callable[[Project], None]
STATUS, PUSH = ("status",), ("push",)
HIDDEN: list[tuple[Make, tuple[str, ...], tuple[str, ...], str]] = [
    (hook_of_gc, (".git/config",), ("gc",), ""),
    (
        remote_in_objects,
        (".git/config", ".git/objects/e/hooks/pre-receive", ".git/objects/e"),
        PUSH,
        "",
    ),
    (remote_in_logs, (".git/config", ".git/logs/e/hooks/pre-receive"), PUSH, ""),
    (old_remotes_file, (".git/remotes/origin", ".git/lfs/e/hooks/pre-receive"), PUSH, ""),
    (old_branches_file, (".git/branches/origin",), PUSH, ""),
    (hooks_without_list, ("missed .git/hooks",), ("checkout", "-b", "x"), ""),
    (repository_without_list, ("missed .git", ".git/config"), STATUS, ""),
    (bare_without_list, ("missed deep",), STATUS, "deep/e"),
    (hook_without_reading, (".git/hooks/post-checkout",), ("checkout", "-b", "x"), ""),
    (linked_commondir, (".git/commondir", "evil/config"), STATUS, ""),
    (blank_behind_path, (".git/objects/e /config",), STATUS, "sub"),
    (path_through_link, (".git/objects/deep/e/config",), STATUS, "sub"),
    (worktree_through_link, (".git/config",), ("reset", "--hard"), ""),
    (worktree_with_blank, (".git/config",), ("reset", "--hard"), ""),
    (deep_repository, ("missed d/d/d",), STATUS, DEEP),
    (linked_config, (".git/more",), STATUS, ""),
    (sample_directory, (".git/hooks/e.sample/hooks/pre-receive",), PUSH, ""),
]


@pytest.mark.parametrize(("make", "told", "command", "cwd"), HIDDEN)
def test_nothing_that_git_runs_is_hidden(
    make: Make, told: tuple[str, ...], command: tuple[str, ...], cwd: str, project: Project
) -> None:
    """The same command runs the program, or writes where it must not."""
    make(project)
    items, missed = project.scan()
    for each in told:
        if each.startswith("missed "):
            assert f'"{each.removeprefix("missed ")}' in missed
        else:
            assert each in items
    assert not project.mark.exists()
    project.git(*command, cwd=cwd)
    if make is hook_without_reading:
        # touch was called with what git tells the hook: names of commits, and a flag.
        assert (project.path / "1").exists()
    else:
        assert project.mark.exists()


def test_an_ordinary_repository_has_nothing_out_of_place(project: Project) -> None:
    """Neither when it is new nor after all that git does of itself: packs, notes, a stash."""
    assert project.scan() == ([], "")
    for words in (
        ("branch", "compose.yml"),
        ("tag", "--annotate", "--message=x", "v1"),
        ("notes", "add", "--message=x"),
        ("repack", "-ad", "--write-midx", "--write-bitmap-index"),
        ("commit-graph", "write", "--split"),
        ("maintenance", "run", "--task=gc", "--task=commit-graph", "--task=loose-objects"),
        ("worktree", "add", "--quiet", "tree"),
        ("bisect", "start"),
    ):
        project.git(*words)
    project.write("file", "y")
    project.git("stash")
    assert (project.path / "tree/file").exists()
    assert project.scan() == ([], "")
