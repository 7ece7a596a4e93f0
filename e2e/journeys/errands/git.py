"""git push, by ssh with a key and by https with a password that a credential helper keeps."""

import itertools
from collections.abc import Sequence

from e2e.world.account import Account
from e2e.world.container import Setup
from e2e.world.git_server import GitServer
from e2e.world.keys import KeyPair
from e2e.world.scene import Scene, Stage
from e2e.world.secrets import Password, PrivateKey, Secret

from .errand import Errand, Job

USER = "ada"


IMAGES = {"busybox": "debian", "debian": "debian", "shim": "git_alone"}
"""What stands in for images without a git."""


class OwnGit(Errand):
    """What the git of a container does, whose remotes are reached through git-remote."""

    def scene(self, stage: Stage) -> Scene:
        """Return the scene of an agent that has git-remote."""
        return stage.remotes

    def open(self, stage: Stage) -> Scene:
        """Make such a scene."""
        return stage.open_remotes()

    def setup(self, scene: Scene, image: str, *, user: str = "0") -> Setup:
        """Describe a container that has git."""
        return scene.own_git(getattr(scene.images, IMAGES[image]), user=user)


class GitOverSsh(OwnGit):
    """A push with the key in `~/.ssh`, one of `keys`."""

    name = "git-ssh"
    credential = ".ssh/id_ed25519"
    trusts = (".ssh/known_hosts", ".gitconfig")
    lacks = refused = "Permission denied (publickey)"

    def __init__(self, keys: Sequence[KeyPair], *, unlike: KeyPair) -> None:
        self._keys = keys
        self._unlike = unlike
        self._number = itertools.count()

    def job(self, scene: Scene) -> Job:
        """Push a new commit to a new branch."""
        branch = f"ssh-{next(self._number)}"
        return push(scene, "origin", branch)

    def forge(self) -> str:
        """Return another key."""
        return self._unlike.private.decode()

    def secrets(self) -> list[Secret]:
        """Return the private keys."""
        return [PrivateKey(key=key, unlike=self._unlike) for key in self._keys]


class GitOverHttps(OwnGit):
    """A push with `password`, which git's own helper `store` keeps in a file of the home."""

    name = "git-https"
    credential = ".git-credentials"
    trusts = (".gitconfig", "authority.pem")
    lacks = "could not read Username"
    refused = "Authentication failed"
    told = "no credential helper of this host's git has an account for"

    def __init__(self, server: GitServer, password: str) -> None:
        self._server = server
        self._password = password
        self._number = itertools.count()
        server.admit(USER, password)

    def furnish(self, account: Account) -> None:
        """Put into the account's home what a person has there who has logged in once."""
        web = self._server.web
        account.write(account.home / "authority.pem", self._server.authority)
        account.write(account.home / self.credential, self._keep(self._password), mode=0o600)
        with (account.home / ".gitconfig").open("a") as settings:
            settings.write(
                f'[credential "{web}"]\n\thelper = store\n'
                f'[http "{web}"]\n\tsslCAInfo = ~/authority.pem\n'
            )

    def job(self, scene: Scene) -> Job:
        """Push a new commit to a new branch, at the same repository's other address."""
        branch = f"https-{next(self._number)}"
        return push(scene, scene.project.repository.web_url, branch)

    def forge(self) -> str:
        """Return what would be kept with another password."""
        return self._keep(self._password[::-1])

    def secrets(self) -> list[Secret]:
        """Return the password."""
        return [Password(self._password)]

    def _keep(self, password: str) -> str:
        """Return what the helper keeps of a login."""
        return f"{self._server.web.replace('://', f'://{USER}:{password}@')}\n"


def push(scene: Scene, remote: str, branch: str) -> Job:
    """Return the push of a commit, made for it, to `branch` at `remote`."""
    commit = scene.project.commit(branch)
    repository = scene.project.repository
    return Job(
        argvs=[("git", "push", remote, f"{commit}:refs/heads/{branch}")],
        arrived=lambda: repository.commit(branch) == commit,
    )
