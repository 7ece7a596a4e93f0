"""What all errands have in common, and how one is run in a container."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from e2e.world.account import Account
from e2e.world.command import Completed
from e2e.world.container import Container, Setup
from e2e.world.scene import Scene, Stage
from e2e.world.secrets import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One go at an errand: commands to be run one after the other in `cwd` of the container.

    `arrived` asks the server whether what they are for has come about.
    """

    argvs: Sequence[tuple[str, ...]]
    cwd: str = "/workspace"
    arrived: Callable[[], bool]

    def do(self, client: Container, *, environment: Mapping[str, str] | None = None) -> Completed:
        """Run the commands in a container up to the first that fails; return the last."""
        return self._until_one_fails(lambda argv: client.run(*argv, cwd=self.cwd, env=environment))

    def do_each_alone(self, setup: Setup) -> Completed:
        """Do the same in a new container for each command, where an image can run no other."""
        return self._until_one_fails(lambda argv: setup.run(*argv, cwd=self.cwd))

    def _until_one_fails(self, run: Callable[[tuple[str, ...]], Completed]) -> Completed:
        for argv in self.argvs[:-1]:
            done = run(argv)
            if done.exit_code != 0:
                return done
        return run(self.argvs[-1])


class Errand(ABC):
    """A tool's everyday work at a server that lets nobody in without a credential."""

    name: ClassVar[str]
    credential: ClassVar[str]
    """The file below the home of an account that lets it in."""
    trusts: ClassVar[tuple[str, ...]] = ()
    """Files there that hold no secret, but without which the tool does not get that far."""
    lacks: ClassVar[str]
    """What the tool says where it finds no credential."""
    refused: ClassVar[str]
    """What it says where the server refuses the one that it has."""
    told: ClassVar[str] = ""
    """What Airlock says where the host has no credential; without it the tool is heard."""

    def scene(self, stage: Stage) -> Scene:
        """Return the scene in which it is done."""
        return stage.workshop

    def open(self, stage: Stage) -> Scene:
        """Make a scene of that kind for one test."""
        return stage.open_workshop()

    def setup(self, scene: Scene, image: str, *, user: str = "0") -> Setup:
        """Describe a container for it: `image` is "busybox", "debian", or "shim" for the barest."""
        return scene.setup(getattr(scene.images, image), user=user)

    @abstractmethod
    def job(self, scene: Scene) -> Job:
        """Prepare one go in the workspace of `scene`."""

    @abstractmethod
    def forge(self) -> str:
        """Return the text of a credential that looks like the right one and is not."""

    @abstractmethod
    def secrets(self) -> list[Secret]:
        """Return what lets the accounts in."""


@contextmanager
def put_away(account: Account, errand: Errand) -> Iterator[None]:
    """Take the credential from the account's home for as long as the context lasts."""
    path = account.home / errand.credential
    away = path.with_name(f"{path.name}.away")
    path.rename(away)
    try:
        yield
    finally:
        away.rename(path)


@contextmanager
def exchanged(account: Account, errand: Errand) -> Iterator[None]:
    """Put a forged credential in place of the right one for as long as the context lasts."""
    with put_away(account, errand):
        account.write(account.home / errand.credential, errand.forge(), mode=0o600)
        yield
