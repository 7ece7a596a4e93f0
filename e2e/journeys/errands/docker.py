"""docker push, to a registry that asks for a password."""

import itertools
from dataclasses import replace

from e2e.world.account import Account
from e2e.world.registry import Registry
from e2e.world.scene import Scene
from e2e.world.secrets import Password, Secret

from .errand import Errand, Job


class Docker(Errand):
    """An image of the engine, given a name at the registry and pushed there."""

    name = "docker"
    credential = ".docker/config.json"
    lacks = "no basic auth credentials"
    refused = "unauthorized"

    def __init__(self, registry: Registry) -> None:
        self.address = registry.address
        self._registry = registry
        self._number = itertools.count()

    def furnish(self, account: Account) -> None:
        """Put into the account's home what `docker login` leaves there."""
        folder = account.make_directory(account.home / ".docker", mode=0o700)
        account.write(folder / "config.json", self._registry.configuration(), mode=0o600)

    def job(self, scene: Scene) -> Job:
        """Push the smallest image under a new name."""
        tag = str(next(self._number))
        name = f"{self._registry.address}/errand:{tag}"
        return Job(
            argvs=[("docker", "tag", scene.images.shim, name), ("docker", "push", name)],
            arrived=lambda: self._registry.has("errand", tag),
        )

    def forge(self) -> str:
        """Return what would be there with another password."""
        return replace(self._registry, password=self._registry.password[::-1]).configuration()

    def secrets(self) -> list[Secret]:
        """Return the password."""
        return [Password(self._registry.password)]
