"""An image of a container with git and the shim, as `--install-git` finds it."""

import os
import shutil
import subprocess
from pathlib import Path

GIT = shutil.which("git")
"""This machine's, None where there is none."""


class Image:
    """A shim in `folder`, and a system configuration and an exec path of git there."""

    def __init__(self, folder: Path, shim: Path) -> None:
        self.folder = folder
        self.configuration = folder / "gitconfig"
        self.shim = folder / "airlock-shim"
        self.link = folder / "git-ssh"
        self.exec_path = folder / "libexec" / "git-core"
        self.path = os.environ["PATH"]
        shutil.copy(shim, self.shim)

    def lay_out(self) -> None:
        """Give the exec path Debian's layout: one program, and links of other names to it."""
        self.exec_path.mkdir(parents=True)
        (self.exec_path / "git-remote-http").write_text("curl")
        (self.exec_path / "git-remote-http").chmod(0o755)
        for name in ("git-remote-https", "git-remote-ftp"):
            (self.exec_path / name).symlink_to("git-remote-http")

    def look(self) -> dict[str, object]:
        """Every path of the image, with what is there."""
        paths = (path for path in self.folder.rglob("*") if path != self.configuration)
        return {str(path): _look_at(path) for path in sorted(paths)}

    def call(self, option: str, *before: str | Path) -> tuple[int, str, str]:
        """Call the shim with `option`; `before` are words that come before it."""
        ended = self.run(*before, self.shim, option)
        return ended.returncode, ended.stdout, ended.stderr

    def git(self, *words: str) -> str:
        """What git says of its system configuration."""
        return self.run(GIT or "git", "config", "--system", *words).stdout

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program that finds this image's git and no other."""
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
