"""docker's own client through the broker, before a real engine."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.lowlevel
from docker_scene import ENGINE, NAME, Scene, image, pack, pytestmark, scene
from msgspec.structs import replace

from airlock_modules.engine import read_image_name
from engines import has_engine

__all__ = ["image", "pytestmark"]

SECRET = "canary-of-the-host"
FORMAT = "{{.Repository}}:{{.Tag}}"


async def test_an_image_is_named_for_its_agent_alone(tmp_path: Path, image: str) -> None:
    """A name that a person may run is never what an agent made, also where nobody has it yet."""
    host, name = ("docker", "-H", f"unix://{ENGINE}"), f"{NAME}-official:1"
    async with scene(tmp_path) as here:
        assert await here.docker("run", "--name", "box", image, "touch", "/made") == (0, "")
        for words in (("tag", image, name), ("commit", "box", name)):
            status, text = await here.docker(*words)
            assert status == 0, text
            assert await here.docker("images", "--format", "{{.Repository}}", name) == (
                0,
                f"{NAME}-official\n",
            )
            found = await trio.run_process(
                (*host, "inspect", name), check=False, capture_stdout=True, capture_stderr=True
            )
            assert found.returncode != 0
        assert await here.docker("run", "--rm", name, "cat", "/made") == (0, "")
        # Neither another agent's nor a person's name can be asked for in the engine's spelling.
        named = await trio.run_process((*host, "images", "--format", FORMAT), capture_stdout=True)
        outer = next(each for each in named.stdout.decode().split() if each.endswith(name))
        assert (await here.docker("run", "--rm", outer, "true"))[0] == 125
        status, text = await here.docker("rmi", image)
        assert "neither gave nor pulled" in text
        assert (await here.docker("rm", "box"))[0] == 0
        assert (await here.docker("rmi", name))[0] == 0
        assert await here.docker("images", "-q", name) == (0, "")


async def test_images_are_an_agents_after_a_restart(tmp_path: Path, image: str) -> None:
    """One without a name is known by its record, and pruned; a person's is not."""
    state = tmp_path / "kept"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with scene(tmp_path / "a", state) as here:
        await here.docker("run", "--name", "box", image, "touch", "/made")
        status, made = await here.docker("commit", "box")
        assert status == 0, made
    async with scene(tmp_path / "b", state) as here:
        made = made.strip()
        assert await here.docker("run", "--rm", made, "cat", "/made") == (0, "")
        assert made in (await here.docker("image", "prune", "--force"))[1]
        assert (await here.docker("image", "prune", "--all", "--force"))[0] == 0
        assert (await here.docker("image", "inspect", made))[0] != 0
        assert (await here.docker("image", "inspect", image))[0] == 0


async def test_a_persons_image_is_not_there(tmp_path: Path, image: str) -> None:
    """What a person built is not granted with the registry whose names it seems to have."""
    listed = ("docker", "images", "--no-trunc", "-q", image)
    identity = (await trio.run_process(listed, capture_stdout=True)).stdout.decode().strip()
    async with scene(tmp_path, images=()) as here:
        lines = ("image inspect X", "history X", "tag X mine", "rmi X", "push X", "save X")
        for line in (*lines, "create --pull=never X id", "run --rm --pull=never X id"):
            for name in (image, identity, identity.removeprefix("sha256:")[:12]):
                status, text = await here.docker(*line.replace("X", name).split())
                assert status != 0, (line, text)
        # No registry has it, so that a pull makes it nobody else's.
        assert (await here.docker("pull", image))[0] != 0
        assert (await here.docker("image", "inspect", image))[0] != 0
        assert await here.docker("images", "-aq") == (0, "")
        assert "0B" in (await here.docker("system", "df", "--format", "{{.Size}}"))[1]


async def test_images_are_saved_and_loaded_by_the_agents_names(tmp_path: Path, image: str) -> None:
    """A name in an archive is one that the agent gives, whatever a person has of that name."""
    archive, host = str(tmp_path / "archive"), ("docker", "-H", f"unix://{ENGINE}")
    async with scene(tmp_path) as here:
        for words in (
            *(("create", "--name", "box", image, "id"), ("commit", "box", "made:1")),
            *(("save", "-o", archive, "made:1"), ("rmi", "made:1")),
        ):
            status, text = await here.docker(*words)
            assert status == 0, text
        assert await here.docker("load", "-i", archive) == (0, "Loaded image: made:1\n")
        assert (await here.docker("run", "--rm", "made:1", "id"))[0] == 0
        # An archive of the person's, whose name is the agent's now, and the image still theirs.
        await trio.run_process((*host, "save", "-o", archive, image))
        assert await here.docker("load", "-q", "-i", archive) == (
            0,
            f"Loaded image: {image}:latest\n",
        )
        assert (await here.docker("rmi", image)) == (0, f"Untagged: {image}:latest\n")
        await trio.run_process((*host, "image", "inspect", image), capture_stdout=True)


async def test_labels_of_an_image_change_nothing(tmp_path: Path) -> None:
    """A container inherits them: it is still its agent's, with what the agent has asked for."""
    labels = "airlock.root=/x airlock.agent=other airlock.user=1:1 airlock.ports=80:80 own=kept"
    async with scene(tmp_path) as here:
        words = ("import", "--change", f"LABEL {labels}", "-", "labelled:1")
        assert (await here.docker(*words, said=pack()))[0] == 0
        run = ("run", "-d", "--name", "web", "labelled:1", "sleep", "100")
        assert (await here.docker(*run))[0] == 0
        assert (await here.docker("exec", "web", "id", "-u")) == (0, "0\n")
        # A person's programs find nothing by them.
        listed = ("docker", "-H", f"unix://{ENGINE}", "ps", "-aq", "--filter", "label=own=kept")
        assert (await trio.run_process(listed, capture_stdout=True)).stdout == b""
        assert (await here.docker("ps", "-q", "--filter", "label=own=kept"))[1] != ""
        shown = "{{.Names}} {{.Labels}} {{.Ports}}"
        assert await here.docker("ps", "--format", shown) == (0, "web own=kept \n")
        assert await here.docker("rm", "-f", "web") == (0, "web\n")


async def test_an_archive_becomes_an_image(tmp_path: Path) -> None:
    """It is imported from the client, never from an address that the engine would ask."""
    async with scene(tmp_path) as here:
        status, text = await here.docker("import", "-", "made:1", said=pack())
        assert status == 0, text
        assert await here.docker("run", "--rm", "made:1", "sh", "-c", "echo ran") == (0, "ran\n")
        status, text = await here.docker("import", "http://127.0.0.1:1/x", "made:2")
        assert "fromSrc" in text
        assert "Total reclaimed" in (await here.docker("system", "prune", "--force", "--all"))[1]
        assert await here.docker("images", "-q", "made") == (0, "")


async def test_concurrent_calls_make_no_more_containers_than_granted(
    tmp_path: Path, image: str
) -> None:
    """They are counted before each is made."""
    ends = list[int]()

    async def create(here: Scene) -> None:
        ends.append((await here.docker("create", image, "id"))[0])

    async with scene(tmp_path, containers=2) as here:
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(create, here)
        assert sorted(ends) == [0, 0, 1, 1, 1, 1]


async def test_a_persons_container_is_not_there(tmp_path: Path, image: str) -> None:
    """Not even one that has the agent's label from its image."""
    marks = (f"--label=airlock.agent=t{os.getpid()}", "--label=airlock.installation=0")
    create = ("docker", "create", "--name", NAME, *marks, image, "sleep", "100")
    await trio.run_process(create, capture_stdout=True)
    try:
        async with scene(tmp_path) as here:
            assert await here.docker("ps", "-aq") == (0, "")
            for word in ("container inspect", "start", "logs", "stop", "rm"):
                assert (await here.docker(*word.split(), NAME))[0] != 0, word
            assert (await here.docker("rename", NAME, "mine"))[0] != 0
            assert (await here.docker("container", "prune", "-f"))[0] == 0
        await trio.run_process(("docker", "inspect", NAME), capture_stdout=True)
    finally:
        with trio.CancelScope(shield=True):
            await trio.run_process(("docker", "rm", "-f", NAME), capture_stdout=True)


async def test_a_directory_that_becomes_a_link_never_leads_to_the_host(
    tmp_path: Path, image: str
) -> None:
    """While it is swapped 2,000 times and more, no container sees what the link names."""
    async with scene(tmp_path) as here:
        secret = tmp_path / "secret"
        secret.mkdir()
        (secret / "file").write_text(SECRET)
        place, other = here.workspace / "sub", here.workspace / "other"
        place.mkdir()
        (place / "file").write_text("harmless")
        link = here.workspace / "link"
        link.symlink_to(secret)
        swaps, seen = 0, list[str]()

        async def swap() -> None:
            nonlocal swaps
            while True:
                place.rename(other)
                link.rename(place)
                place.rename(link)
                other.rename(place)
                swaps += 2
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(swap)
            while swaps < 2000 or len(seen) < 20:
                _, text = await here.docker(
                    "run", "--rm", "-v", "/work/sub:/s", image, "cat", "/s/file"
                )
                seen.append(text)
            nursery.cancel_scope.cancel()
        assert not any(SECRET in text for text in seen)
        assert any(text == "harmless" for text in seen)
        # Nor when a container starts that was made before.
        create = ("create", "--name", "later", "-v", "/work/sub:/s", image, "cat", "/s/file")
        assert (await here.docker(*create))[0] == 0
        place.rename(here.workspace / "moved")
        place.symlink_to(secret)
        assert SECRET not in (await here.docker("start", "--attach", "later"))[1]
        # What is removed is the engine's name of the workspace, never the workspace.
        assert (await here.docker("rm", "later"))[0] == 0
        assert (await here.docker("volume", "prune", "--all", "--force"))[0] == 0
    assert (here.workspace / "moved" / "file").read_text() == "harmless"


@pytest.mark.parametrize("kind", ["buildx", "classic", "compose"])
async def test_a_build_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    """By each client's way of building, in words that it shows."""
    if not has_engine("buildx", "compose"):
        pytest.skip("needs docker's plugins buildx and compose")
    async with scene(tmp_path) as own:
        (own.workspace / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
        services = f'services:\n  web:\n    build: "{own.workspace}"\n'
        (own.workspace / "compose.yaml").write_text(services)
        words = {
            "compose": ("compose", f"--file={own.workspace}/compose.yaml", "build"),
            "classic": ("build", f"--tag={NAME}-built", str(own.workspace)),
        }
        builder = "0" if kind == "classic" else ""
        status, said = await own.docker(*words.get(kind, words["classic"]), DOCKER_BUILDKIT=builder)
        listed = await own.docker("ps", "--all", "--quiet")
    assert status != 0
    assert "airlock: no image is built by the engine's own builder" in said
    assert listed == (0, "")


BUILDER = os.environ.get("AIRLOCK_BUILDER", "moby/buildkit:rootless")
"""An image of rootless BuildKit, for the test of builds."""


async def test_a_build_runs_in_a_builder_of_the_agents_own(tmp_path: Path) -> None:
    """By the client as it is: context, a command and the result, which is the agent's."""
    asked = ("docker", "image", "inspect", BUILDER)
    found = await trio.run_process(asked, capture_stdout=True, capture_stderr=True, check=False)
    if found.returncode:
        pytest.skip("needs an image of rootless BuildKit: AIRLOCK_BUILDER")
    async with scene(tmp_path) as here:
        builder = str(read_image_name(BUILDER))
        here.agent.grant = replace(here.agent.grant, builder=builder)
        (here.workspace / "rootfs.tar").write_bytes(pack())
        (here.workspace / "Dockerfile").write_text(
            'FROM scratch\nADD rootfs.tar /\nRUN ["/bin/sh", "-c", "id > /made"]\n'
        )
        words = ("build", "--load", "--tag=web", str(here.workspace))
        status, said = await here.docker(*words)
        assert status == 0, said
        assert await here.docker("run", "--rm", "web", "cat", "/made") == (
            0,
            "uid=0 gid=0 groups=0\n",
        )
        inspect = ("inspect", "--format={{.HostConfig.Privileged}} {{.HostConfig.CapAdd}}")
        made = await here.docker(*inspect, "buildx_buildkit_default")
        assert made == (0, "false [SETUID SETGID]\n")
        _, status_file = await here.docker(
            "exec", "--user", "0", "buildx_buildkit_default", "cat", "/proc/self/status"
        )
        assert "Seccomp:\t2" in status_file
        assert "Uid:\t1000\t1000\t1000\t1000\n" in status_file
        copied = await here.docker("cp", "-", "buildx_buildkit_default:/", said=pack())
        assert copied[0] != 0


@asynccontextmanager
async def podman(folder: Path) -> AsyncIterator[str]:
    """The socket of a podman of its own, which has the image `NAME`."""
    program = shutil.which("podman")
    if program is None or os.geteuid() != 0:
        pytest.skip("needs podman, and root")
    path = folder / "podman.sock"
    words = (program, f"--root={folder}/root", f"--runroot={folder}/run")
    async with trio.open_nursery() as nursery:
        serve = (*words, "system", "service", "--time=0", f"unix://{path}")
        nursery.start_soon(partial(trio.run_process, serve, check=False, stderr=subprocess.DEVNULL))
        await trio.run_process((*words, "import", "-", NAME), stdin=pack(), capture_stdout=True)
        while not path.exists():
            await trio.lowlevel.checkpoint()
        yield str(path)
        nursery.cancel_scope.cancel()


async def test_podman_is_an_engine_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its containers are kept as docker's are; what it cannot mount is refused by name."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://person:{SECRET}@proxy.invalid:1")
    async with (
        podman(tmp_path) as engine,
        scene(tmp_path, images=(f"localhost/{NAME}",), engine=engine) as here,
    ):
        name = f"localhost/{NAME}"
        run = ("run", "--rm", "--network=none")
        show = ("grep", "-E", "^(Uid|CapBnd|NoNewPrivs|Seccomp):", "/proc/self/status")
        status, said = await here.docker(*run, "-v", "/work:/w", name, *show)
        assert (status, said.split()) == (0, [
            *("Uid:", *["1000"] * 4),
            *("CapBnd:", "0" * 16),
            *("NoNewPrivs:", "1"),
            *("Seccomp:", "2"),
        ])  # fmt: skip
        assert SECRET not in (await here.docker(*run, name, "env"))[1]
        (here.workspace / "sub").mkdir()
        status, said = await here.docker(*run, "-v", "/work/sub:/w", name, "true")
        assert (status, "mount the workspace itself" in said) == (125, True)
        status, said = await here.docker(*run, "--privileged", name, "true")
        assert (status, "Privileged = true is not granted" in said) == (125, True)
