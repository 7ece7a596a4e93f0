"""Workspaces that are git repositories, made once and copied for each run."""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

from e2e.faithful.world.ground import COMMIT_DATES

_COMMITS = 400


class Repositories:
    """Makes repositories with the environment of the run."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**environment, **COMMIT_DATES}

    def makers(self) -> dict[str, Callable[[Path], None]]:
        """Return what makes each workspace, by the name that entries use."""
        return {
            "clean": self._make_clean,
            "repository": self._make_changed,
            "history": self._make_history,
            "diverged": self._make_diverged,
        }

    def _make_clean(self, folder: Path) -> None:
        self._git(folder, "init", "--quiet")
        (folder / "notes").write_text("one\ntwo\nthree\n")
        (folder / "binary").write_bytes(Random(2).randbytes(5000))  # noqa: S311 - no secret
        (folder / ".gitignore").write_text("ignored\n")
        self._commit(folder, "the first commit")
        (folder / "binary").write_bytes(Random(3).randbytes(5000))  # noqa: S311 - no secret
        self._commit(folder, "the second commit")

    def _make_changed(self, folder: Path) -> None:
        self._make_clean(folder)
        (folder / "notes").write_text("one\nchanged\nthree\n")
        (folder / "new").write_text("new\n")
        (folder / "ignored").write_text("nobody looks at this\n")

    def _make_history(self, folder: Path) -> None:
        self._git(folder, "init", "--quiet")
        lines = []
        for number in range(_COMMITS):
            message, text = f"commit number {number}\n", f"{number}\n"
            lines += [
                "commit refs/heads/main",
                f"committer A Person <person@example.com> {1700000000 + number} +0000",
                f"data {len(message)}",
                message + f"M 100644 inline file-{number % 10}",
                f"data {len(text)}",
                text,
            ]
        self._git(folder, "fast-import", "--quiet", stdin="\n".join(lines) + "\n")
        self._git(folder, "reset", "--quiet", "--hard")

    def _make_diverged(self, folder: Path) -> None:
        self._make_clean(folder)
        self._git(folder, "switch", "--quiet", "--create", "other")
        (folder / "notes").write_text("one\ntheirs\nthree\n")
        self._commit(folder, "theirs")
        self._git(folder, "switch", "--quiet", "main")
        (folder / "notes").write_text("one\nours\nthree\n")
        self._commit(folder, "ours")

    def _commit(self, folder: Path, message: str) -> None:
        self._git(folder, "add", ".")
        self._git(folder, "commit", "--quiet", f"--message={message}")

    def _git(self, folder: Path, *arguments: str, stdin: str = "") -> None:
        subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=self._environment,
            input=stdin,
            text=True,
            check=True,
            capture_output=True,
        )
