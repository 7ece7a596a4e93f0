"""Tests of `admin.scan.scanning`: a workspace that a hostile container has written."""

import os
import subprocess
from pathlib import Path

import pytest

from airlock_daemon.admin.scan import tree
from airlock_daemon.admin.scan.scanning import Item, scan


def git(*args: str, cwd: Path) -> str:
    """Run git as a person without settings of their own does."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run(
        ("git", *args), cwd=cwd, env=environment, capture_output=True, check=False, text=True
    )
    return done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository as git makes it, with an ordinary file."""
    path = Path(os.path.realpath(tmp_path)) / "project"
    path.mkdir()
    git("init", "--quiet", cwd=path)
    (path / "Makefile").write_text("all:\n\ttrue\n")
    (path / "src").mkdir()
    (path / "src/main.py").write_text("import os\n")
    return path


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def find_new(project: Path, before: frozenset[str]) -> list[Item]:
    return [item for item, is_new in scan(str(project)).compare(before) if is_new]


def digests(project: Path) -> frozenset[str]:
    return frozenset(item.digest for item in scan(str(project)).items)


def test_a_fresh_repository_has_nothing(project: Path) -> None:
    """Neither the hooks that git brings as samples, nor sources, nor a Makefile."""
    found = scan(str(project))
    assert found.items == ()
    assert found.missed == ""


ATTACKS: dict[str, tuple[dict[str, str], str, int]] = {
    "a setting": ({".git/config": "[core]\nfsmonitor = /tmp/x\n"}, ".git/config", 2),
    "a worktree's setting": (
        {".git/config.worktree": "[core]\nfsmonitor = /tmp/x\n"},
        ".git/config.worktree",
        2,
    ),
    "a hook": ({".git/hooks/pre-commit": "#!/bin/sh\n"}, ".git/hooks/pre-commit", 0),
    "a bare repository": (
        {
            "docs/x/HEAD": "ref: refs/heads/x\n",
            "docs/x/objects/x": "",
            "docs/x/refs/x": "",
            "docs/x/config": "[core]\nbare = false\nworktree = x\nfsmonitor = /tmp/x\n",
        },
        "docs/x/config",
        4,
    ),
    "a repository elsewhere": (
        {
            "sub/.git": "gitdir: ../.git/objects/evil\n",
            ".git/objects/evil/config": "[alias]\nst = !x\n",
        },
        ".git/objects/evil/config",
        2,
    ),
    "a repository outside": ({"sub/.git": "gitdir: /tmp/x\n"}, "sub/.git", 0),
    "a common directory": (
        {".git/commondir": "../common\n", "common/config": "[core]\npager = x\n"},
        "common/config",
        2,
    ),
    "an included file": (
        {".git/config": "[include]\npath = ../more\n", "more": "[core]\nsshCommand = x\n"},
        "more",
        2,
    ),
    "hooks elsewhere": (
        {".git/config": "[core]\nhooksPath = docs/hooks\n", "docs/hooks/pre-push": "#!/bin/sh\n"},
        "docs/hooks/pre-push",
        0,
    ),
    "a submodule": ({".gitmodules": '[submodule "a"]\nupdate = !x\n'}, ".gitmodules", 2),
    "direnv": ({"deep/er/.envrc": "touch /tmp/x\n"}, "deep/er/.envrc", 1),
    "a task": ({".vscode/tasks.json": '{\n"tasks": []}\n'}, ".vscode/tasks.json", 2),
    "a dev container": (
        {".devcontainer/devcontainer.json": "{}\n"},
        ".devcontainer/devcontainer.json",
        1,
    ),
    "a compose file": ({"compose.override.yml": "services: {}\n"}, "compose.override.yml", 1),
    "an agent's settings": ({".claude/settings.json": "{}\n"}, ".claude/settings.json", 1),
    "an agent's servers": ({".mcp.json": "{}\n"}, ".mcp.json", 1),
    "a Python": (
        {".venv/pyvenv.cfg": "home = /usr/bin\n", ".venv/bin/python": "\x7fELF\0"},
        ".venv/bin/python",
        0,
    ),
    "a path file": (
        {".venv/lib/python3/site-packages/x.pth": "/a\nimport os\n"},
        ".venv/lib/python3/site-packages/x.pth",
        2,
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_a_container_adds_is_new(name: str, project: Path) -> None:
    """At its line, and only until it is noted."""
    before = digests(project)
    files, path, line = ATTACKS[name]
    for file, text in files.items():
        is_program = "/bin/" in file or "hooks/" in file
        write(project / file, text, 0o755 if is_program else 0o644)
    assert (path, line) in [(item.path, item.line) for item in find_new(project, before)]
    assert find_new(project, digests(project)) == []


def test_git_really_obeys_such_a_setting(project: Path) -> None:
    """What a person's `git status` runs, and a scan does not."""
    mark = project.parent / "mark"
    write(project / "run", f"#!/bin/sh\n: > {mark}\n", 0o755)
    with (project / ".git/config").open("a") as config:
        config.write(f"[core]\n\tfsmonitor = {project}/run\n")
    assert [item.text for item in scan(str(project)).items] == [f"core.fsmonitor = {project}/run"]
    assert not mark.exists()
    git("status", cwd=project)
    assert mark.exists()


def test_a_changed_line_is_new_and_others_are_not(project: Path) -> None:
    """Lines that move are told once, for the file."""
    write(project / ".envrc", "one\ntwo\nthree\n")
    before = digests(project)
    write(project / ".envrc", "zero\none\nTWO\nthree\n")
    assert [(item.line, item.text) for item in find_new(project, before)] == [
        (1, "zero"),
        (3, "TWO"),
    ]
    write(project / ".envrc", "two\none\nthree\n")
    (moved,) = find_new(project, before)
    assert (moved.line, moved.path) == (0, ".envrc")
    assert "moved" in moved.text


def test_a_program_is_known_by_what_is_in_it(project: Path) -> None:
    """As a hook, or a virtual environment's Python, that was there before."""
    hook = project / ".git/hooks/pre-push"
    write(hook, "#!/bin/sh\ntrue\n", 0o755)
    before = digests(project)
    write(hook, "#!/bin/sh\nfalse\n", 0o755)
    assert [item.path for item in find_new(project, before)] == [".git/hooks/pre-push"]
    hook.chmod(0o644)
    assert find_new(project, before) == []


def test_values_of_variables_are_not_shown(project: Path) -> None:
    """A `.env` has secrets; of a line without a name nothing is."""
    write(project / ".env", "TOKEN=hunter2\nexport KEY = hunter2\nhunter2\n")
    assert [item.text for item in scan(str(project)).items if item.line] == [
        "TOKEN=...",
        "export KEY =...",
        "...",
    ]
    before = digests(project)
    write(project / ".env", "TOKEN=hunter3\nexport KEY = hunter2\nhunter2\n")
    assert [item.line for item in find_new(project, before)] == [1]


def test_links_are_told_and_followed_inside_alone(project: Path) -> None:
    """A tool follows them. What lies outside of the workspace is not read."""
    secret = project.parent / "secret"
    secret.write_text("hunter2\n")
    (project / ".envrc").symlink_to("../secret")
    write(project / "real/tasks.json", "{}\n")
    (project / ".vscode").symlink_to("real")
    (project / ".git/hooks").rename(project / "hooks-elsewhere")
    write(project / "hooks-elsewhere/pre-commit", "#!/bin/sh\n", 0o755)
    (project / ".git/hooks").symlink_to(project / "hooks-elsewhere")
    found = {(item.path, item.text) for item in scan(str(project)).items if not item.is_order}
    assert found == {
        (".envrc", "a link to ../secret"),
        (".vscode", "a link to real"),
        ("real/tasks.json", "{}"),
        (".git/hooks", f"a link to {project}/hooks-elsewhere"),
        ("hooks-elsewhere/pre-commit", "the whole file"),
    }


def test_nothing_is_waited_for(project: Path) -> None:
    """Neither a FIFO nor a device is opened, and no link leads round in circles.

    A FIFO is told, since what obeys it takes what a program writes to it by then.
    """
    for path in (".envrc", ".git/hooks/pre-commit", ".git/config"):
        (project / path).unlink(missing_ok=True)
        os.mkfifo(project / path)
    (project / "loop").symlink_to("loop")
    (project / ".mcp.json").symlink_to("/dev/zero")
    (project / ".idea").symlink_to(".idea")
    (project / "sub/.vscode").parent.mkdir()
    (project / "sub/.vscode").symlink_to("..")
    found = {item.path for item in scan(str(project)).items}
    assert {".mcp.json", ".idea", "sub/.vscode"} <= found
    assert {".envrc", ".git/hooks/pre-commit", ".git/config"} <= found


def test_what_is_not_looked_at_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More files than there is time for; those nearest to the top come first."""
    write(project / ".envrc", "x\n")
    for number in range(20):
        write(project / f"a/{number}/x", "")
    monkeypatch.setattr(tree, "MAX_ENTRIES", 30)
    found = scan(str(project))
    assert "more than 30" in found.missed
    assert ".envrc" in {item.path for item in found.items}


def test_a_long_file_is_known_as_a_whole(project: Path) -> None:
    """Of more than it shows line by line it tells that it changed."""
    write(project / ".envrc", "x=1\n" * 100_000)
    (item,) = scan(str(project)).items
    assert (item.line, item.text) == (0, "the whole file")
    before = digests(project)
    write(project / ".envrc", "x=1\n" * 99_999 + "x=2\n")
    assert len(find_new(project, before)) == 1
