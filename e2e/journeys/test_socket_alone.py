"""A container that is given the agent's socket as a single file and nothing else."""

from e2e.world.container import Setup
from e2e.world.scene import UNMAPPED, Stage


def test_ssh_runs_where_nothing_is_mapped(stage: Stage) -> None:
    """`ssh -V` needs no directory of the client's and is answered by the host's ssh."""
    setup = _socket_alone(stage)
    answer = setup.run("ssh", "-V", cwd="/").succeeded()
    assert answer.stderr.startswith("OpenSSH_")


def test_git_is_refused_with_the_line_to_add(stage: Stage) -> None:
    """`git status` needs a directory, and the refusal says which line of which file maps one."""
    setup = _socket_alone(stage)
    refused = setup.run("git", "status", cwd="/")
    assert refused.exit_code == 126
    assert all(line.startswith("airlock: ") for line in refused.stderr.splitlines())
    assert "[workspace] mounts = {" in refused.stderr
    assert "my-agent/airlock.toml" in refused.stderr


def _socket_alone(stage: Stage) -> Setup:
    scene = stage.scene(profile=UNMAPPED)
    mounts = {"/run/docker-airlock.sock": (scene.agent.socket_file, "ro")}
    return Setup(image=scene.images.shim, mounts=mounts)
