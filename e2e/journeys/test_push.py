"""`git push` over real SSH by the git of containers that hold no key."""

import pytest
from e2e.world.images import Images
from e2e.world.scene import Stage

from .remotes.ground import ENVIRONMENT

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
@pytest.mark.parametrize("image", ["git_alone", "debian"])
def test_push_arrives(stages: dict[str, Stage], kind: str, who: str, image: str) -> None:
    """The commit at the server is the client's, whatever image and user push it."""
    stage = stages[kind]
    scene = stage.remotes
    commit = scene.project.commit(f"{kind} {who} {image}")
    branch = f"{image}-{who}"
    user = {"daemon": str(stage.account.uid), "someone": SOMEONE}.get(who, who)
    setup = scene.own_git(getattr(scene.images, image), user=user)
    setup.run("git", "push", "origin", f"HEAD:refs/heads/{branch}").succeeded()
    assert scene.project.repository.commit(branch) == commit


def test_a_day_of_work_in_a_container(stage: Stage, images: Images) -> None:
    """A change made in the container is added, committed and pushed there, and git says its id."""
    scene = stage.open_remotes()
    work = "echo more >>notes.txt && git add notes.txt && git commit --quiet --message=work"
    with scene.own_git(images.debian, user=str(stage.account.uid)).running() as client:
        client.run("sh", "-c", work, env=ENVIRONMENT).succeeded()
        client.run("git", "push", "-u", "origin", "main").succeeded()
        said = client.run("git", "rev-parse", "HEAD").succeeded().stdout
    assert said == scene.project.head() == scene.project.repository.commit("main")
    assert scene.project.repository.keys_used() == [stage.key.public]


def test_a_rejected_push_is_reported_by_git_itself(user_stage: Stage) -> None:
    """What the server refuses arrives in git's own words and with git's own exit status."""
    scene = user_stage.open_remotes()
    with scene.own_git(scene.images.debian).running() as client:
        client.run("git", "push", "origin", "main").succeeded()
        scene.project.git("commit", "--amend", "--quiet", "--message=other").succeeded()
        rejected = client.run("git", "push", "origin", "main")
    assert rejected.exit_code == 1
    assert "[rejected]" in rejected.stderr
    assert "airlock:" not in rejected.stderr
