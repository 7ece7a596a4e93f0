"""Which credential a push uses: the host's, chosen by the host."""

from e2e.world.home import add_key
from e2e.world.scene import MAPPED, Stage

KEY_CHOSEN = MAPPED + '\n[env]\nset = { GIT_SSH_COMMAND = "ssh -i ~/.ssh/project_a_key" }\n'


def test_a_profile_chooses_the_key(user_stage: Stage) -> None:
    """GIT_SSH_COMMAND in a profile selects that key; another agent goes on with the usual one."""
    chosen = add_key(user_stage.account, "project_a_key")
    user_stage.server.authorize(chosen)
    for profile, key in ((KEY_CHOSEN, chosen), (MAPPED, user_stage.key)):
        scene = user_stage.scene(profile=profile)
        setup = scene.setup(scene.images.busybox)
        setup.run("git", "push", "origin", "main").succeeded()
        assert scene.project.repository.commit("main") == scene.project.head()
        assert scene.project.repository.keys_used() == [key.public]


def test_a_container_cannot_choose_the_key(user_stage: Stage) -> None:
    """The container's own GIT_SSH_COMMAND does not reach the host: no file is made by it."""
    scene = user_stage.scene()
    trap = f"touch {scene.project.path}/trapped; ssh"
    with scene.setup(scene.images.busybox).running() as client:
        client.run("git", "push", "origin", "main", env={"GIT_SSH_COMMAND": trap}).succeeded()
    assert scene.project.repository.keys_used() == [user_stage.key.public]
    assert not (scene.project.path / "trapped").exists()
