"""Ways out of a container beside Airlock's."""

from pathlib import Path

import pytest
from e2e.world.images import Images
from e2e.world.scene import UNMAPPED, Scene, Stage

ENGINE = "/var/run/docker.sock"
ACCEPTED = f"{UNMAPPED}\n[workspace]\nengine_socket = true\n"
DOORS = {
    "as a file": (f"--volume={ENGINE}:{ENGINE}", ENGINE),
    "by another name": (f"--volume={ENGINE}:/harmless", "/harmless"),
    "in its directory": (f"--volume={Path(ENGINE).resolve().parent}:/r:ro", "/r/docker.sock"),
    "with the whole host": ("--volume=/:/host", "/docker.sock"),
}


def said_by(scene: Scene, image: str, option: str, *argv: str) -> tuple[int, str]:
    """The exit status of a command in a container with this option, and what it says."""
    done = scene.setup(image, option).run(*argv)
    return done.exit_code, done.stderr


@pytest.mark.parametrize("name", DOORS)
def test_a_container_with_the_engines_socket_is_refused(
    name: str, user_stage: Stage, images: Images
) -> None:
    """It is root on the host. Whether a command needs a workspace makes no difference."""
    scene = user_stage.scene(profile=UNMAPPED)
    option, point = DOORS[name]
    for argv in (("git", "status"), ("git", "push", "origin", "main"), ("ssh", "host", "true")):
        status, said = said_by(scene, images.busybox, option, *argv)
        assert status == 126
        assert "airlock: the container has the socket of a container engine" in said
        assert point in said
        assert "engine_socket = true" in said
    assert scene.project.repository.commit("main") is None
    refused = [each["rule"] for each in scene.airlock.audit() if each["event"] == "exec"]
    assert refused == ["engine-socket"] * 3


def test_it_is_served_where_the_profile_accepts_it(user_stage: Stage, images: Images) -> None:
    """The same container, with the guard off."""
    scene = user_stage.scene(profile=ACCEPTED)
    option, _ = DOORS["as a file"]
    assert said_by(scene, images.busybox, option, "git", "push", "origin", "main")[0] == 0
    assert scene.project.repository.commit("main") == scene.project.head()


def test_a_changed_root_does_not_hide_the_socket(user_stage: Stage, images: Images) -> None:
    """A process in it sees no mount outside of it: the container's own are looked at instead."""
    scene = user_stage.scene(profile=UNMAPPED)
    option, point = DOORS["as a file"]
    sockets = f"--volume={scene.agent.socket_directory}:/jail/run/airlock:ro"
    client = "chroot /jail /bin/git-ssh git@localhost \"git-upload-pack 'x'\""
    with scene.setup(images.busybox, option, sockets).running() as container:
        container.run("sh", "-c", "mkdir /jail/bin && cp /usr/local/bin/git /jail/bin/git-ssh")
        done = container.run("sh", "-c", client)
    assert done.exit_code == 126
    assert point in done.stderr


def test_a_container_whose_first_process_changes_its_root_is_refused(
    user_stage: Stage, images: Images
) -> None:
    """Nothing shows what it has mounted."""
    scene = user_stage.scene(profile=UNMAPPED)
    option, _ = DOORS["as a file"]
    sockets = f"--volume={scene.agent.socket_directory}:/jail/run/airlock:ro"
    jail = "mkdir /jail/bin && cp /usr/local/bin/git /jail/bin/git-ssh && exec chroot /jail"
    client = "/bin/git-ssh git@localhost \"git-upload-pack 'x'\""
    done = scene.setup(images.busybox, option, sockets).run("sh", "-c", f"{jail} {client}")
    assert done.exit_code == 126
    assert "changed its root" in done.stderr


def test_a_directory_that_docker_made_in_the_place_of_a_socket_is_none(
    user_stage: Stage, images: Images, tmp_path: Path
) -> None:
    """And what else of the host is mounted is not called a socket of an engine either."""
    scene = user_stage.scene(profile=UNMAPPED)
    option = f"--volume={scene.agent.socket_directory}:/var/run/docker.sock:ro"
    status, said = said_by(scene, images.busybox, option, "git", "push", "origin", "main")
    assert (status, "engine" in said) == (0, False)
