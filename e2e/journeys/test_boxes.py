"""Commands of a container in boxes on the host: what they see is what the container sees."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from e2e.world.container import Container, Setup
from e2e.world.need import need
from e2e.world.scene import UNMAPPED, Scene, Stage

MODULE = '[command]\nbin = "/bin/sh"\n[deny]\nargs = []\n[sandbox]\nbox = "closed"\n'
SECRET = "canary-77e0"


def make_scene(stage: Stage) -> Scene:
    """A scene whose `git` is a shell in a closed box, in a workspace with things in it."""
    need(None if shutil.which("bwrap") else "there is no bubblewrap")
    scene = stage.scene(profile=UNMAPPED, commands=(), modules={"git": MODULE})
    account, path = stage.account, scene.project.path
    for name in ("secrets", "docs", "lib", "deep"):
        account.make_directory(path / name)
        account.write(path / name / "file", f"{SECRET} in {name}\n")
    account.write(path / ".env", f"{SECRET}\n")
    return scene


def add(scene: Scene, mounts: Mapping[str, tuple[Path, str]], *options: str) -> Setup:
    """A container of the scene with further mounts."""
    setup = scene.setup(scene.images.busybox, *options)
    return Setup(image=setup.image, mounts={**setup.mounts, **mounts}, options=setup.options)


def beside(scene: Scene, name: str) -> Path:
    """A path of this scene's own, outside of its workspace."""
    return scene.project.path.with_name(f"{scene.project.path.name}-{name}")


def box(client: Container, script: str, *, cwd: str = "/workspace") -> str:
    """What a script in a box says."""
    return client.run("git", "-c", script, cwd=cwd).succeeded().stdout


def test_a_box_has_the_mounts_of_the_container_with_their_flags(user_stage: Stage) -> None:
    """Masks are masks, what is read-only stays so, and other directories are where they are."""
    scene = make_scene(user_stage)
    account = user_stage.account
    other, pinned = beside(scene, "other"), beside(scene, "pinned")
    account.make_directory(other)
    account.write(other / "file", "other\n")
    account.write(pinned, "pinned\n")
    account.write(scene.project.path / "lock", "unpinned\n")
    mounts = {
        "/workspace/.env": (Path("/dev/null"), "ro"),
        "/workspace/lib": (other, "rw"),
        "/workspace/docs": (scene.project.path / "docs", "ro"),
        "/workspace/lock": (pinned, "ro"),
    }
    script = (
        "cat .env; ls secrets; cat lib/file lock; echo new > lib/new; cat lib/new; "
        "for file in docs/file docs/new lock; do (echo x > $file) 2>/dev/null || echo kept; done; "
        "echo top > top; cat top"
    )
    with add(scene, mounts, "--tmpfs=/workspace/secrets").running() as client:
        said = box(client, script)
        plain = client.run("sh", "-c", script).succeeded().stdout
    assert said == "other\npinned\nnew\nkept\nkept\nkept\ntop"
    assert said == plain
    assert (other / "new").read_text() == "new\n"


def test_from_inside_of_a_mount_the_rest_is_there_too(user_stage: Stage) -> None:
    """The workspace of a box is that of the container, wherever the client stands in it."""
    scene = make_scene(user_stage)
    other = beside(scene, "other")
    user_stage.account.make_directory(other)
    user_stage.account.write(other / "file", "other\n")
    with add(scene, {"/workspace/lib": (other, "rw")}).running() as client:
        said = box(client, "pwd; cat file ../deep/file", cwd="/workspace/lib")
    assert said == f"/workspace/lib\nother\n{SECRET} in deep"


def test_a_workspace_that_is_read_only_is_so_in_a_box(user_stage: Stage) -> None:
    """Outside of a box such a command is refused."""
    scene = make_scene(user_stage)
    with scene.setup(scene.images.busybox, workspace="ro").running() as client:
        assert box(client, "(echo x > new) 2>/dev/null || echo kept") == "kept"
    assert not (scene.project.path / "new").exists()


@pytest.mark.parametrize(
    ("target", "kind"), [("/workspace/deep/file", "null"), ("/workspace/deep/docs", "ro")]
)
def test_a_mask_that_the_container_can_move_away_is_refused(
    user_stage: Stage, target: str, kind: str
) -> None:
    """It renames the directory above, and the box would show what was hidden."""
    scene = make_scene(user_stage)
    source = Path("/dev/null") if kind == "null" else scene.project.path / "docs"
    user_stage.account.make_directory(scene.project.path / "deep" / "docs")
    with add(scene, {target: (source, "ro")}).running() as client:
        refused = client.run("git", "-c", "cat deep/file")
    assert refused.exit_code == 126
    assert f'"{target}"' in refused.stderr
    assert SECRET not in refused.stdout + refused.stderr


def test_what_the_box_user_cannot_enter_is_covered(user_stage: Stage) -> None:
    """The container has it, as a volume of the engine; nobody else on the host does."""
    scene = make_scene(user_stage)
    volume = "--volume=/workspace/lib"
    with add(scene, {}, volume).running() as client:
        client.run("sh", "-c", f"echo {SECRET} > lib/file").succeeded()
        assert box(client, "ls -A lib; (echo x > lib/x) 2>/dev/null || echo kept") == "kept"
