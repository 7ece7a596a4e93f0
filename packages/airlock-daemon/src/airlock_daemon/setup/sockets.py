"""A sockets directory: for each agent NAME the sockets `NAME/*.sock`, and hard links to them."""

LOCK = ".lock"
"""Locked by the daemon that serves the directory."""

SOCKET = "airlock.sock"
"""The socket for commands, in its agent's directory. `NAME.sock` is a hard link to it."""

HTTPS = "https.sock"
"""The socket for APIs and networks, if the agent's profile grants any."""

ENGINE = "docker.sock"
"""The socket for the docker engine, if the agent's profile has `[docker]`."""

NAMES = (SOCKET, HTTPS, ENGINE)
"""All sockets that an agent's directory may have."""

SOCKET_DIRECTORY = "/run/airlock"
"""The mount point of its agent's socket directory in a container."""

CA = "ca.pem"
BUNDLE = "ca-bundle.pem"
TRUSTSTORE = "truststore.p12"
PUBLISHED = (CA, BUNDLE, TRUSTSTORE)
"""The HTTPS broker's files in an agent's socket directory."""
CLIENT_ENV = "client.env"
"""The variables of `client.ContainerClient` in that directory, as lines NAME=VALUE."""

BRIDGED = ("docker", "podman")
"""The engines whose own command can carry the sockets to their containers, by a bridge."""

_FOR_CONTAINERS = ".containers"


def container_directory(agent: str) -> str:
    """A directory for what an agent's docker containers mount, relative to the sockets directory.

    No container has it at a path where it could replace a file, as an agent may in its own
    directory: an engine that mounts a path follows its symlinks on the host.
    """
    return f"{_FOR_CONTAINERS}/{agent}"


def find_link(agent: str, name: str) -> str:
    """The path of the hard link to an agent's socket, relative to the sockets directory."""
    links = {
        SOCKET: f"{agent}.sock",
        HTTPS: f"{container_directory(agent)}/{HTTPS}",
        ENGINE: f"{container_directory(agent)}.sock",
    }
    return links[name]
