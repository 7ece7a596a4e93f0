"""clone, pull, commit and push from a container, over ssh and over https."""

from collections.abc import Callable

import pytest
from e2e.world.git_server import Repository
from e2e.world.scene import Stage
from e2e.world.secrets import Password

from .errands.git import GitOverHttps

WAYS: dict[str, Callable[[Repository], str]] = {
    "ssh": lambda repository: repository.url,
    "https": lambda repository: repository.web_url,
}


@pytest.mark.parametrize("way", WAYS)
def test_work_with_a_colleague(user_stage: Stage, git_https_errand: GitOverHttps, way: str) -> None:
    """What somebody else pushed is cloned and pulled, and what is made here arrives there."""
    scene = user_stage.workshop
    project = scene.project
    folder = f"clone-{way}"
    project.git("push", "--force", "origin", "HEAD:refs/heads/main").succeeded()
    with scene.setup(scene.images.busybox).running() as client:
        client.run("git", "clone", WAYS[way](project.repository), folder).succeeded()
        cwd = f"/workspace/{folder}"
        assert client.run("git", "rev-parse", "HEAD", cwd=cwd).stdout == project.head()

        theirs = project.commit(f"a colleague's, for {folder}")
        project.git("push", "origin", "HEAD:refs/heads/main").succeeded()
        client.run("git", "pull", cwd=cwd).succeeded()
        assert client.run("git", "rev-parse", "HEAD", cwd=cwd).stdout == theirs

        client.run("git", "commit", "--allow-empty", "--message=ours", cwd=cwd).succeeded()
        client.run("git", "push", cwd=cwd).succeeded()
        ours = client.run("git", "rev-parse", "HEAD", cwd=cwd).stdout
    assert project.repository.commit("main") == ours != theirs
    project.git("pull", "--ff-only", "origin", "main").succeeded()


def test_the_helper_is_not_asked_for_a_container(
    user_stage: Stage, git_https_errand: GitOverHttps
) -> None:
    """git's ways of showing what a helper keeps show nothing: in its box there is none."""
    scene = user_stage.scene()
    question = f"url={scene.project.repository.web_url}\n\n".encode()
    with scene.setup(scene.images.busybox).running() as client:
        for argv in (
            ("git", "credential", "fill"),
            ("git", "credential-store", "get"),
            ("git", "-c", "credential.helper=!cat", "fetch", "origin"),
            ("git", "config", "--global", "--list"),
        ):
            shown = client.run(*argv, stdin=question)
            assert shown.exit_code not in (125, 126, 127), argv
            for secret in git_https_errand.secrets():
                assert isinstance(secret, Password)
                assert secret.find(shown.out + shown.err) == []
