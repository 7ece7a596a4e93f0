"""Running a program to its end and capturing its output."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TIMEOUT_S = 120.0
"""Maximum seconds for a single program of these tests."""


class CommandFailed(AssertionError):
    """A program that a test relies on ended with a status other than 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A program's argv, exit status, and both streams as bytes."""

    argv: tuple[str, ...]
    exit_code: int
    out: bytes
    err: bytes

    @property
    def stdout(self) -> str:
        """Standard output as text, stripped."""
        return self.out.decode(errors="replace").strip()

    @property
    def stderr(self) -> str:
        """Standard error as text, stripped."""
        return self.err.decode(errors="replace").strip()

    def __str__(self) -> str:
        """Return everything that helps to explain a failure."""
        return (
            f"{' '.join(self.argv)}\n  ended with {self.exit_code}"
            f"\n  stdout: {self.stdout}\n  stderr: {self.stderr}"
        )

    def succeeded(self) -> "Completed":
        """Return itself, or raise CommandFailed with the whole output."""
        if self.exit_code != 0:
            raise CommandFailed(str(self))
        return self


def run(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    uid: int | None = None,
    gid: int | None = None,
    longest_s: float = TIMEOUT_S,
) -> Completed:
    """Run `argv` and wait for it.

    `env` replaces the whole environment. The program runs as `uid` and `gid`. Raises
    subprocess.TimeoutExpired after `longest_s` seconds.
    """
    done = subprocess.run(
        list(argv),
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env=dict(os.environ) if env is None else dict(env),
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
        timeout=longest_s,
        check=False,
    )
    return Completed(argv=tuple(argv), exit_code=done.returncode, out=done.stdout, err=done.stderr)
