"""clone, pull, commit and push from a container, over ssh and over https."""

from e2e.world.scene import Stage
from e2e.world.secrets import Password

from .errands.git import GitOverHttps


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
