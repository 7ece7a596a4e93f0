"""A repository in the workspace, poisoned: whatever of it git runs wants the host's words."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from e2e.canary.boxes.scene import BoxScene

# What it prints, and what it leaves in the workspace, comes to the container.
_EVIL = """\
#!/bin/sh
# Whoever reads its output may hang up.
/bin/cat {wanted} >> '{here}/got' 2>&1
echo x > '{outside}/made'
/bin/cat {wanted}
exit 1
"""
_WANTED = "<home>/.ssh/id_ed25519 <home>/.git-credentials <config>/credential <other>/file"
_GIT = (
    *("git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "safe.directory=*"),
    *("-c", "init.defaultBranch=main"),
)
_SOMEBODY = {"user.name": "a", "user.email": "a@example.com"}


def poison(scene: BoxScene, settings: Mapping[str, str], files: Mapping[str, str]) -> None:
    """Make the repository: `settings` are those of `.git/config`, `files` texts, by their paths."""
    workspace = scene.world.workspace
    kept = scene.world.kept
    if not kept.exists():
        _make(kept)
        _change_rights(kept)
    shutil.copytree(kept, workspace, dirs_exist_ok=True, symlinks=True)
    wanted, outside = scene.fill(_WANTED), scene.world.outside
    text = _EVIL.format(wanted=wanted, here=scene.fill("<here>"), outside=outside)
    for name in ("evil", "bin/evil", "bin/git-evil", "bin/git-merge-evil", ".git/hooks/pre-commit"):
        path = workspace / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for name in ("post-checkout", "post-merge", "pre-push", "reference-transaction", "pre-rebase"):
        shutil.copy(workspace / "evil", workspace / ".git/hooks" / name)
    for key, value in {**_SOMEBODY, **settings}.items():
        _git(workspace, "config", key, scene.fill(value))
    for name, text in files.items():
        path = workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(scene.fill(text))
    _change_rights(workspace)


def _make(folder: Path) -> None:
    _git(folder.parent, "init", "--quiet", str(folder))
    (folder / "f").write_text("one\n")
    (folder / ".gitattributes").write_text("f diff=evil merge=evil filter=evil\n")
    _git(folder, "add", ".")
    _git(folder, "commit", "--quiet", "-m", "one")
    _git(folder, "branch", "b")
    (folder / "f").write_text("two\n")
    _git(folder, "commit", "--quiet", "-am", "two")
    _git(folder, "checkout", "--quiet", "b")
    (folder / "g").write_text("three\n")
    _git(folder, "add", ".")
    _git(folder, "commit", "--quiet", "-m", "three")
    _git(folder, "checkout", "--quiet", "main")
    _git(folder, "clone", "--quiet", "--bare", ".", "remote.git")
    _git(folder, "remote", "add", "origin", "./remote.git")
    (folder / "f").write_text("changed\n")


def _change_rights(folder: Path) -> None:
    """Whoever is in the box may change all of it, as a container of that user has made it."""
    folder.chmod(0o777)
    for above, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(above, name)
            if not path.is_symlink():
                path.chmod(0o777)


def _git(where: Path, *words: str) -> None:
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run([*_GIT, *words], cwd=where, env=environment, check=True, capture_output=True)
