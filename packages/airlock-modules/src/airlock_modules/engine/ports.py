"""The ports of an agent's containers, which are published at the loopback of its own container.

The engine publishes none. A container has its ports in a label: the broker leads connections to
them, and answers show them as an engine shows ports that it publishes.
"""

from collections.abc import Mapping
from typing import Any

from airlock_modules.engine.names import PORTS_LABEL

MAX_PORTS = 64
"""The most ports of all of an agent's containers that run, as many as the shim listens at."""
LOOPBACK = "127.0.0.1"

Ports = Mapping[int, int]
"""A container's TCP ports by the port of the agent's loopback."""


def write_ports(ports: Ports) -> str:
    """The value of the label."""
    return ",".join(f"{outer}:{inner}" for outer, inner in sorted(ports.items()))


def read_ports(labels: Mapping[str, Any]) -> dict[int, int]:
    """The ports of a container of the agent, by its labels."""
    pairs = (each.split(":") for each in str(labels.get(PORTS_LABEL, "")).split(",") if each)
    return {int(outer): int(inner) for outer, inner in pairs}


def list_bindings(ports: Ports) -> dict[str, list[dict[str, str]]]:
    """The ports as `inspect` has them."""
    found: dict[str, list[dict[str, str]]] = {}
    for outer, inner in sorted(ports.items()):
        binding = {"HostIp": LOOPBACK, "HostPort": str(outer)}
        found.setdefault(f"{inner}/tcp", []).append(binding)
    return found


def list_rows(ports: Ports, exposed: object) -> list[dict[str, Any]]:
    """The ports as a list of containers has them, with those that are `exposed` alone."""
    published = [
        {"IP": LOOPBACK, "PrivatePort": inner, "PublicPort": outer, "Type": "tcp"}
        for outer, inner in sorted(ports.items())
    ]
    inner = {(port, "tcp") for port in ports.values()}
    others = [
        each
        for each in (exposed if isinstance(exposed, list) else ())
        if (each.get("PrivatePort"), each.get("Type")) not in inner
    ]
    return [*published, *others]
