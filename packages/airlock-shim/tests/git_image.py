"""A container image with git and the shim, for `--install-git`."""

import os
import shutil
import subprocess
from pathlib import Path

GIT = shutil.which("git")
"""This machine's git, None if there is none."""


class Image:
    """A shim, a git system configuration and a git exec path in `folder`."""

    def __init__(self, folder: Path, shim: Path) -> None:
        self.folder = folder
        self.configuration = folder / "gitconfig"
        self.shim = folder / "airlock-shim"
        self.link = folder / "git-ssh"
        self.exec_path = folder / "libexec" / "git-core"
        self.path = os.environ["PATH"]
        shutil.copy(shim, self.shim)

    def lay_out(self) -> None:
        """Give the exec path Debian's layout: one program, and links to it."""
        self.exec_path.mkdir(parents=True)
        (self.exec_path / "git-remote-http").write_text("curl")
        (self.exec_path / "git-remote-http").chmod(0o755)
        for name in ("git-remote-https", "git-remote-ftp"):
            (self.exec_path / name).symlink_to("git-remote-http")

    def look(self) -> dict[str, object]:
        """All paths of the image, with their content."""
        paths = (path for path in self.folder.rglob("*") if path != self.configuration)
        return {str(path): _look_at(path) for path in sorted(paths)}

    def call(self, option: str, *before: str | Path) -> tuple[int, str, str]:
        """Run the shim with `option`; `before` are arguments before it."""
        ended = self.run(*before, self.shim, option)
        return ended.returncode, ended.stdout, ended.stderr

    def git(self, *words: str) -> str:
        """The output of git about its system configuration."""
        return self.run(GIT or "git", "config", "--system", *words).stdout

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program that finds only this image's git."""
        return subprocess.run(
            words, capture_output=True, check=False, text=True, env=self.variables
        )

    @property
    def variables(self) -> dict[str, str]:
        """The environment of its processes."""
        return {
            "PATH": self.path,
            "GIT_CONFIG_SYSTEM": str(self.configuration),
            "GIT_EXEC_PATH": str(self.exec_path),
            "AIRLOCK_SOCKET": str(self.folder / "airlock.sock"),
        }


def _look_at(path: Path) -> object:
    if path.is_symlink():
        return os.readlink(path)
    state = path.stat()
    return "directory" if path.is_dir() else (path.read_bytes(), state.st_mode, state.st_mtime_ns)
