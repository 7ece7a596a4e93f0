"""docker by the shim in a container: the broker of the host's engine, without the host."""

import re

import pytest
from e2e.world.engine import MADE_LABEL, docker
from e2e.world.own_tools import ENGINE
from e2e.world.scene import Stage
from tasks.blocks import list_blocks

SHOWN = [
    tuple(line.removeprefix("$ docker ").replace("IMAGE", "{image}").split())
    for block in list_blocks("docs/grants/docker.md")
    for line in block.text.splitlines()
    if line.startswith("$ docker ")
]
"""What the page of docker shows as refused."""


@pytest.mark.parametrize("image", ["busybox", "debian"])
def test_a_container_starts_another(user_stage: Stage, image: str) -> None:
    """It runs at the host's engine, with its streams and status; the human's are not there."""
    scene = user_stage.workshop
    run = ("docker", "run", "--rm", "--interactive", f"--label={MADE_LABEL}", scene.images.busybox)
    with scene.setup(getattr(scene.images, image)).running() as client:
        listed = client.run("docker", "ps", "--no-trunc", "--format={{.ID}}").succeeded()
        assert client.id not in listed.stdout.splitlines()
        other = client.run("docker", "container", "inspect", client.id)
        assert "No such container" in other.stderr
        done = client.run(*run, "sh", "-c", "cat; echo err >&2; exit 7", stdin=b"\xff\0")
        assert (done.exit_code, done.out, done.stderr) == (7, b"\xff\0", "err")


def test_a_container_can_be_run_watched_and_removed(user_stage: Stage) -> None:
    """run -d, exec, logs, stop and rm, as in a day's work."""
    scene = user_stage.workshop
    with scene.setup(scene.images.busybox).running() as client:

        def call(*words: str) -> str:
            return client.run("docker", *words).succeeded().stdout

        loop = "echo begun; exec sleep infinity"
        made = call(
            "run", "--detach", f"--label={MADE_LABEL}", scene.images.busybox, "sh", "-c", loop
        )
        assert call("exec", made, "echo", "inside") == "inside"
        assert call("logs", made) == "begun"
        call("rm", "--force", made)
    assert docker("container", "inspect", made).exit_code != 0


def test_a_file_that_would_be_lost_is_not_copied(user_stage: Stage) -> None:
    """From a directory that is not mapped `docker cp` fails, and does not end with 0."""
    scene = user_stage.workshop
    with scene.setup(scene.images.busybox).running() as client:
        create = ("docker", "create", f"--label={MADE_LABEL}", scene.images.busybox, "true")
        made = client.run(*create).succeeded().stdout
        copy = ("docker", "cp", f"{made}:/bin/busybox", "./copied")
        lost = client.run(*copy, cwd="/etc")
        assert lost.exit_code == 1
        assert "/no-workspace/copied: read-only file system" in lost.stderr
        client.run(*copy).succeeded()
        client.run("docker", "rm", made).succeeded()
    assert (scene.project.path / "copied").is_file()


def test_a_container_has_the_workspace_at_the_paths_of_the_client(user_stage: Stage) -> None:
    """As the workspace's owner, by `$PWD` and by a relative path; not what lies elsewhere."""
    scene = user_stage.workshop
    image = scene.images.busybox
    scene.project.account.write(scene.project.path / "word", "of the workspace\n")
    with scene.setup(image).running() as client:
        run = ("docker", "run", "--rm", f"--label={MADE_LABEL}")
        for source in ("/workspace", "."):
            read = client.run(*run, f"--volume={source}:/src", image, "cat", "/src/word")
            assert read.succeeded().stdout == "of the workspace"
        made = ("sh", "-c", "echo made > /src/made; id -u")
        owner = scene.project.path.stat().st_uid
        assert client.run(*run, "--volume=.:/src", image, *made).succeeded().stdout == str(owner)
        assert client.run("cat", "made").succeeded().stdout == "made"
        refused = client.run(*run, "--volume=/etc:/src", image, "ls", "/src")
        assert "airlock: " in refused.stderr
        assert refused.exit_code == 125


def test_a_compose_file_of_the_workspace_is_run(user_stage: Stage) -> None:
    """By the host's plugin in the box, with a bind of the project by a relative path."""
    scene = user_stage.workshop
    image = scene.images.busybox
    service = f"{{image: {image}, command: cat /src/word, volumes: ['.:/src']}}"
    scene.project.account.write(scene.project.path / "word", "of the workspace\n")
    scene.project.account.write(
        scene.project.path / "compose.yaml", f"services:\n  web: {service}\n"
    )
    with scene.setup(image).running() as client:
        ran = client.run("docker", "compose", "run", "--rm", "--quiet-pull", "web").succeeded()
        assert ran.stdout == "of the workspace"
        client.run("docker", "compose", "down").succeeded()


@pytest.mark.parametrize(
    "words",
    SHOWN,
    ids=lambda words: "-".join(word.lstrip("-") for word in words[:3])[:30].replace("/", "_"),
)
def test_what_would_open_the_host_is_refused(user_stage: Stage, words: tuple[str, ...]) -> None:
    """By the broker, in the engine's own form; the host's client shows it."""
    scene = user_stage.workshop
    with scene.setup(scene.images.busybox).running() as client:
        client.run("sh", "-c", "echo FROM scratch > Dockerfile").succeeded()
        named = [word.format(image=scene.images.busybox) for word in words]
        refused = client.run("docker", *named)
        assert client.run("true").exit_code == 0
    assert refused.exit_code != 0
    assert "airlock: " in refused.stderr or "No such" in refused.stderr, refused.stderr


@pytest.mark.parametrize("words", [("--host=tcp://127.0.0.1:1", "ps"), ("--host=unix:///x", "ps")])
def test_the_client_reaches_no_other_engine(user_stage: Stage, words: tuple[str, ...]) -> None:
    """Its box has no network and no other socket."""
    scene = user_stage.workshop
    failed = scene.setup(scene.images.busybox).run("docker", *words)
    assert failed.exit_code == 1
    assert re.search("Cannot connect to the Docker daemon|error during connect", failed.stderr)


def test_without_the_hosts_engine_there_is_none_through_airlock(user_stage: Stage) -> None:
    """Where the daemon's account has another engine the agent has that one, or none."""
    scene = user_stage.open_workshop(environment={"DOCKER_HOST": "unix:///nowhere/docker.sock"})
    failed = scene.setup(scene.images.busybox).run("docker", "ps")
    assert failed.exit_code == 1
    assert 'airlock: the docker engine at "/nowhere/docker.sock"' in failed.stderr


def test_an_engine_that_is_no_socket_of_the_host_is_refused_by_name(user_stage: Stage) -> None:
    """With the way to reach it all the same."""
    scene = user_stage.open_workshop(environment={"DOCKER_HOST": "ssh://me@far"})
    refused = scene.setup(scene.images.busybox).run("docker", "ps")
    assert refused.exit_code == 1
    assert 'is behind "ssh"' in refused.stderr
    assert "[docker] engine" in refused.stderr


def test_links_of_the_workspace_lead_the_client_nowhere(user_stage: Stage) -> None:
    """Neither to the human's logins, nor to the engine's socket: they are not in its box."""
    scene = user_stage.workshop
    logins = user_stage.account.home / ".docker" / "config.json"
    with scene.setup(scene.images.busybox).running() as client:
        create = ("docker", "create", f"--label={MADE_LABEL}", scene.images.busybox, "true")
        made = client.run(*create).succeeded()
        for path in (logins, ENGINE, "/home/airlock/.docker/config.json", "/etc/shadow"):
            client.run("ln", "-sfn", str(path), "link").succeeded()
            for words in (
                ("cp", "-L", "link", f"{made.stdout}:/got"),
                ("run", "--rm", "--env-file=link", scene.images.busybox, "env"),
            ):
                refused = client.run("docker", *words)
                assert refused.exit_code != 0, words
        client.run("docker", "rm", made.stdout).succeeded()


def test_streams_that_do_not_end_by_themselves_are_followed(user_stage: Stage) -> None:
    """exec -i, attach, logs --follow, wait, stats and events, beside what goes on."""
    scene = user_stage.workshop
    image = scene.images.busybox
    with scene.setup(image).running() as client:

        def call(*words: str, stdin: bytes = b"") -> str:
            return client.run("docker", *words, stdin=stdin).succeeded().stdout

        script = "echo begun; read line; echo got $line; exit 3"
        name = call("create", "--interactive", f"--label={MADE_LABEL}", image, "sh", "-c", script)
        attached = client.run("docker", "start", "-ai", name, stdin=b"word\n")
        assert (attached.exit_code, attached.stdout) == (3, "begun\ngot word")
        assert call("wait", name) == "3"
        assert call("logs", "--follow", name) == "begun\ngot word"
        # The client cuts the time to whole seconds: a second from now is after all that was.
        events = call("events", "--since=10m", "--until=-1s", f"--filter=container={name}")
        assert "container die" in events
        call("rm", name)
        lasting = call("run", "--detach", f"--label={MADE_LABEL}", image, "sleep", "infinity")
        assert call("exec", "--interactive", lasting, "cat", stdin=b"x" * 300_000) == "x" * 300_000
        assert lasting[:12] in call("stats", "--no-stream", lasting)
        call("rm", "--force", lasting)
