"""The workspace as the container's own mounts tell it, whatever the profile says about it."""

from e2e.world.container import Setup
from e2e.world.engine import docker
from e2e.world.images import Images
from e2e.world.scene import UNMAPPED, Scene, Stage


def test_a_directory_below_the_mount(user_stage: Stage, images: Images) -> None:
    """A command runs in the very directory in which the client stands."""
    scene = user_stage.scene(profile=UNMAPPED)
    user_stage.account.make_directory(scene.project.path / "deep")
    setup = scene.setup(images.busybox)
    shown = setup.run("git", "rev-parse", "--show-prefix", cwd="/workspace/deep").succeeded()
    assert shown.stdout == "deep/"


def test_any_path_in_the_container_will_do(user_stage: Stage, images: Images) -> None:
    """The mount may be anywhere, and the longest that covers the directory counts.

    A mount inside of another one is there for git as well, wherever the client stands.
    """
    outer = user_stage.scene(profile=UNMAPPED)
    inner = user_stage.scene(profile=UNMAPPED)
    mounts = dict(outer.setup(images.busybox, workspace="").mounts)
    mounts |= {"/src": (outer.project.path, "rw"), "/src/vendor/lib": (inner.project.path, "rw")}
    with Setup(image=images.busybox, mounts=mounts).running() as client:
        head = client.run("git", "rev-parse", "HEAD", cwd="/src/vendor/lib").succeeded().stdout
        seen = [
            client.run("git", "-C", path, "rev-parse", "HEAD", cwd=cwd).succeeded().stdout
            for path, cwd in (("vendor/lib", "/src"), ("/src", "/"), ("/src/vendor/lib", "/"))
        ]
    assert head == inner.project.head()
    assert seen == [head, outer.project.head(), head]


def test_a_mount_protects_at_whatever_path_the_profile_has_it(
    user_stage: Stage, images: Images
) -> None:
    """The profile maps it to another path than the container does, where it would be writable."""
    scene = user_stage.scene()
    mounts = dict(scene.setup(images.busybox, workspace="").mounts)
    mounts |= {"/w": (scene.project.path, "ro")}
    with Setup(image=images.busybox, mounts=mounts).running() as client:
        client.run("git", "rev-parse", "HEAD", cwd="/w").succeeded()
        tagged = client.run("git", "-C", "/workspace", "tag", "made", cwd="/w")
        own = client.run("mkdir", "/workspace", cwd="/")
        entered = client.run("git", "tag", "made", cwd="/workspace")
    assert "cannot change to '/workspace'" in tagged.stderr
    assert own.exit_code == 0
    assert entered.stderr.startswith("airlock: the container has the directory of ")
    assert entered.exit_code == 126
    assert not (scene.project.path / ".git/refs/tags/made").exists()


def test_containers_of_one_agent_have_their_own_mounts(user_stage: Stage, images: Images) -> None:
    """What one container mounts is nothing to another one that uses the same socket."""
    scene = user_stage.scene(profile=UNMAPPED)
    stranger = user_stage.scene(start=False)
    with scene.setup(images.busybox).running() as client, _with(scene, stranger).running() as other:
        said = [each.run("git", "rev-parse", "HEAD").succeeded().stdout for each in (client, other)]
        bare = scene.setup(images.busybox, workspace="").run("git", "status", cwd="/")
    assert said == [scene.project.head(), stranger.project.head()]
    assert bare.exit_code == 126


def test_a_container_that_was_restarted_is_known_again(user_stage: Stage, images: Images) -> None:
    """The same container has another init process after `docker restart`; it is asked for anew."""
    scene = user_stage.scene(profile=UNMAPPED)
    with scene.setup(images.busybox).running() as client:
        client.run("git", "status").succeeded()
        docker("restart", "--time=0", client.id).succeeded()
        client.run("git", "push", "origin", "main").succeeded()
    assert scene.project.repository.commit("main") == scene.project.head()


def _with(scene: Scene, other: Scene) -> Setup:
    """Describe a container that uses the agent of `scene` on the project of `other`."""
    mounts = dict(scene.setup(scene.images.busybox).mounts)
    return Setup(
        image=scene.images.busybox, mounts={**mounts, "/workspace": (other.project.path, "rw")}
    )
