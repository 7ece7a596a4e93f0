"""An agent of the broker of a docker engine, without a daemon."""

from collections.abc import Callable

from airlock_daemon.boundary.brokers.docker.making import CallResult, Details, Forms
from airlock_daemon.boundary.connection.descriptors import Closer
from airlock_daemon.boundary.fairness import Rounds, TurnQueue
from airlock_daemon.errors import Denied
from airlock_modules.engine import DockerGrant, Egress, ImageName, Ownership
from airlock_modules.operation import Operation


class Agent:
    """An agent of the broker, with what it was told."""

    def __init__(self, engine: str, grant: DockerGrant, rounds: Rounds, *, name: str = "a") -> None:
        """`rounds` run as an instrument and as a task."""
        self.ownership = Ownership(name, "0")
        self.turns = TurnQueue(rounds)
        self.closer = Closer()
        self.engine = engine
        self.grant = grant
        self.results: list[CallResult] = []
        self.refuses = ""
        self.approve: Callable[[], object | None] = lambda: None
        self.egress: Egress | None = None

    def may_require_approval(self, operation: Operation) -> bool:  # noqa: ARG002
        """As `EngineAgent.may_require_approval`."""
        return bool(self.refuses)

    async def admit(
        self,
        operation: Operation,  # noqa: ARG002
        details: Details,  # noqa: ARG002
        *,
        forms: Forms,
        changes: bool,  # noqa: ARG002
        note: str = "",  # noqa: ARG002
    ) -> object | None:
        """As `EngineAgent.admit`."""
        if self.refuses and any(self.refuses in " ".join(form) for form in forms):
            raise Denied("not today", layer="profile", rule="deny", hint="ask tomorrow")
        return self.approve()

    def record(self, result: CallResult) -> None:
        """As `EngineAgent.record`."""
        self.results.append(result)

    async def find_egress(self, architecture: str) -> Egress | None:  # noqa: ARG002
        """As `EngineAgent.find_egress`."""
        return self.egress

    async def find_login(self, image: ImageName) -> bytes | None:
        """As `EngineAgent.find_login`."""
        return b"bG9naW4=" if image.domain == "ghcr.io" else None
