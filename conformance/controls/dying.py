"""Daemons that cannot be judged case by case: one that ends, one that never answers."""

import os
import socket
from typing import Any

from reference_channel import Channel
from reference_daemon import ReferenceDaemon
from reference_requests import Request


class DyingDaemon(ReferenceDaemon):
    """Ends when it is asked for a decision."""

    def perform(self, client: Channel, request: Request) -> dict[str, Any]:
        """Run the tool; end the whole daemon where it is only to decide."""
        if request.method == "check":
            os._exit(7)
        return super().perform(client, request)


class SilentDaemon(ReferenceDaemon):
    """Accepts connections, and says nothing on them."""

    def serve(self, connection: socket.socket) -> None:
        """Read until the client hangs up."""
        with connection:
            while connection.recv(65_536):
                continue
