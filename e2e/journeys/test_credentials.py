"""Which credential a push uses: the host's, chosen by the host."""

from e2e.world.home import add_key
from e2e.world.scene import GIT_SSH, Stage

KEY_CHOSEN = {"GIT_SSH_COMMAND": "ssh -i ~/.ssh/project_a_key"}


def test_a_profile_chooses_the_key(user_stage: Stage) -> None:
    """GIT_SSH_COMMAND in a profile selects that key; another agent goes on with the usual one."""
    chosen = add_key(user_stage.account, "project_a_key")
    user_stage.server.authorize(chosen)
    for environment, key in ((KEY_CHOSEN, chosen), ({}, user_stage.key)):
        scene = user_stage.open_remotes(environment=environment)
        setup = scene.own_git(scene.images.git_alone)
        setup.run("git", "push", "origin", "main").succeeded()
        assert scene.project.repository.commit("main") == scene.project.head()
        assert scene.project.repository.keys_used() == [key.public]


def test_a_container_cannot_choose_the_key(user_stage: Stage) -> None:
    """It can name one to the shim only, in the words of ssh, and those are refused."""
    scene = user_stage.open_remotes()
    words = f"{GIT_SSH} -i ~/.ssh/project_a_key"
    with scene.own_git(scene.images.debian).running() as client:
        pushed = client.run("git", "push", "origin", "main", env={"GIT_SSH_COMMAND": words})
    assert pushed.exit_code == 128
    assert '"-i" is no option that git gives ssh' in pushed.stderr
    assert scene.project.repository.keys_used() == []
