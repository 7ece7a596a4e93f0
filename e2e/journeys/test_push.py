"""`git push` over real SSH from containers that hold neither a key nor, mostly, a git."""

import pytest
from e2e.world.images import Images
from e2e.world.scene import MAPPED, UNMAPPED, Stage

# The daemon's account, and the container's user: root, the daemon's own uid, or somebody else's.
WHO = [
    ("root", "0"),
    ("root", "someone"),
    ("user", "0"),
    ("user", "daemon"),
    ("user", "someone"),
]
SOMEONE = "4711"


@pytest.mark.parametrize(("kind", "who"), WHO)
@pytest.mark.parametrize("image", ["busybox", "shim", "debian"])
def test_push_arrives(stages: dict[str, Stage], kind: str, who: str, image: str) -> None:
    """The commit at the server is the client's, whatever image and user push it."""
    stage = stages[kind]
    scene = stage.shared
    commit = scene.project.commit(f"{kind} {who} {image}")
    branch = f"{image}-{who}"
    user = {"daemon": str(stage.account.uid), "someone": SOMEONE}.get(who, who)
    setup = scene.setup(getattr(scene.images, image), user=user)
    setup.run("git", "push", "origin", f"HEAD:refs/heads/{branch}").succeeded()
    assert scene.project.repository.commit(branch) == commit


def test_a_day_of_work_in_a_container(stage: Stage, images: Images) -> None:
    """A change made in the container is added, committed and pushed there, and git says its id."""
    scene = stage.scene()
    work = "echo more >>notes.txt && git add notes.txt && git commit --quiet --message=work"
    with scene.setup(images.busybox, user=str(stage.account.uid)).running() as client:
        client.run("sh", "-c", work).succeeded()
        client.run("git", "push", "-u", "origin", "main").succeeded()
        said = client.run("git", "rev-parse", "HEAD").succeeded().stdout
    assert said == scene.project.head() == scene.project.repository.commit("main")
    assert scene.project.repository.keys_used() == [stage.key.public]


@pytest.mark.parametrize("profile", [MAPPED, UNMAPPED], ids=["profile-mounts", "container-mounts"])
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_push_after_the_daemon_restarted(user_stage: Stage, end: str, profile: str) -> None:
    """A container with the socket's directory mounted stays connected across restarts."""
    scene = user_stage.scene(profile=profile)
    push = ("git", "push", "origin", "main")
    with scene.setup(scene.images.busybox).running() as client:
        client.run(*push).succeeded()
        getattr(scene.airlock, end)()
        commit = scene.project.commit("while the daemon is away")
        alone = client.run(*push)
        assert alone.exit_code == 125
        assert alone.stderr.startswith("airlock: ")
        scene.airlock.start()
        client.run(*push).succeeded()
    assert scene.project.repository.commit("main") == commit


def test_a_rejected_push_is_reported_by_git_itself(user_stage: Stage) -> None:
    """What the server refuses arrives in git's own words and with git's own exit status."""
    scene = user_stage.scene()
    with scene.setup(scene.images.busybox).running() as client:
        client.run("git", "push", "origin", "main").succeeded()
        scene.project.git("commit", "--amend", "--quiet", "--message=other").succeeded()
        rejected = client.run("git", "push", "origin", "main")
    assert rejected.exit_code == 1
    assert "[rejected]" in rejected.stderr
    assert "airlock:" not in rejected.stderr
