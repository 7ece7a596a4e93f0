"""The Docker engine: whether it answers, and what an earlier run left in it.

testcontainers would start a reaper container of its own, from an image that cannot be pulled where
there is no registry. It is switched off, so leftovers are found by LABEL and removed at the start.
"""

from collections.abc import Sequence

from testcontainers.core.config import testcontainers_config

from .command import Completed, run

LABEL = "airlock.e2e"
"""Every container of these tests carries this label."""


def docker(*arguments: str, stdin: bytes = b"") -> Completed:
    """Run the docker CLI with `arguments`."""
    return run(("docker", *arguments), stdin=stdin)


def why_not() -> str | None:
    """Say why there is no engine to test with, or None if one answers."""
    try:
        answer = docker("version", "--format", "{{.Server.Version}}")
    except FileNotFoundError:
        return "there is no docker command on PATH"
    if answer.exit_code != 0:
        return f"no Docker engine answers ({answer.stderr.splitlines()[-1]})"
    return None


def prepare() -> None:
    """Switch the reaper off and remove the containers that an earlier run left."""
    testcontainers_config.ryuk_disabled = True
    left = docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").succeeded()
    remove(left.stdout.split())


def remove(containers: Sequence[str]) -> None:
    """End and remove `containers`, given by name or id, with their anonymous volumes.

    One that is gone already is none too many.
    """
    if containers:
        docker("rm", "--force", "--volumes", *containers).succeeded()
