"""An agent of the broker of a docker engine, without a daemon."""

from airlock_daemon.boundary.brokers.docker.making import CallResult, Details
from airlock_daemon.boundary.connection.closing import Closer
from airlock_daemon.boundary.fairness.turns import Rounds, TurnQueue
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
        self.egress: Egress | None = None

    async def admit(
        self,
        operation: Operation,
        details: Details,  # noqa: ARG002
        *,
        changes: bool,  # noqa: ARG002
        note: str = "",  # noqa: ARG002
    ) -> None:
        """As `EngineAgent.admit`."""
        if self.refuses and self.refuses in operation.line:
            raise Denied("not today", layer="profile", rule="deny", hint="ask tomorrow")

    def tell(self, result: CallResult) -> None:
        """As `EngineAgent.tell`."""
        self.results.append(result)

    async def find_egress(self, architecture: str) -> Egress | None:  # noqa: ARG002
        """As `EngineAgent.find_egress`."""
        return self.egress

    async def find_login(self, image: ImageName) -> bytes | None:
        """As `EngineAgent.find_login`."""
        return b"bG9naW4=" if image.domain == "ghcr.io" else None
