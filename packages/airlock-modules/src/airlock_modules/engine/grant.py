"""What a profile's `[docker]` grants.

In a pattern of images `*` crosses no `/` and `**` does; a pattern names no tag.
"""

from msgspec import Struct
from msgspec.structs import replace

from airlock_modules.engine.images import ImageName
from airlock_modules.engine.names import AGENTS
from airlock_modules.remotes.grants import compile_pattern

_DEFAULT_REGISTRY = "docker.io"


class Root(Struct, frozen=True, kw_only=True):
    """A workspace of the agent that containers may mount.

    `inner` is its path in the agent's container, `outer` on the host; `user` is its owner as
    `UID:GID`. `covered` are paths, as `inner`, that the agent sees masked or read-only; with one,
    nothing of the workspace is mounted.
    """

    inner: str
    outer: str
    user: str
    is_read_only: bool = False
    covered: tuple[str, ...] = ()


class DockerGrant(Struct, frozen=True, kw_only=True):
    """The table `[docker]` of a profile, and the agent's workspaces.

    `engine` is the path of the engine's socket, "" for that of the human's docker. `images` are
    patterns of those that it may pull, and use if the engine has them. Of `registries` it may pull
    all, with the human's logins, which `push` has too; without both it may pull from docker.io.
    `read` are patterns of names of the human's containers. In a network that `is_isolated` the host
    has no address; one that `is_bridged` leads out. `socket` is the host's path of the
    agent's own `docker.sock`, `egress` that of the directory by which its containers reach its
    APIs; `builder` is the image in which it builds, "" for none; memory is in bytes.
    """

    engine: str = ""
    images: tuple[str, ...] = ()
    registries: tuple[str, ...] = ()
    push: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    is_bridged: bool = False
    is_isolated: bool = False
    publishes_on_host: bool = False
    root_binds: bool = False
    roots: tuple[Root, ...] = ()
    socket: str = ""
    egress: str = ""
    builder: str = ""
    memory: int = 4 << 30
    pids: int = 4096
    containers: int = 50

    def own_by_root(self) -> "DockerGrant":
        """The grant for a rootless engine: root in its containers is the user that it runs as."""
        return replace(self, roots=tuple(replace(each, user="0:0") for each in self.roots))

    def may_pull(self, image: ImageName) -> bool:
        """Whether it may pull this image."""
        registries = self.registries if self.registries or self.images else (_DEFAULT_REGISTRY,)
        return image.domain in registries or self.may_use(image)

    def may_use(self, image: ImageName) -> bool:
        """Whether it may use this image if the engine has it, whosoever pulled or built it."""
        return str(image) == self.builder or _matches(self.images, image.repository)

    def may_push(self, image: ImageName) -> bool:
        """Whether it may push to this name."""
        return _matches(self.push, image.repository)

    def has_login(self, image: ImageName) -> bool:
        """Whether the human's login at the image's registry is used for it."""
        return image.domain in self.registries or self.may_push(image)

    def may_read(self, name: str) -> bool:
        """Whether a container with this name may be looked at: the human's, and no agent's."""
        bare = name.removeprefix("/")
        return not bare.startswith(AGENTS) and _matches(self.read, bare)


def is_below(path: str, parent: str) -> bool:
    """Whether a path is `parent` or below it; both are normal."""
    return path == parent or path.startswith(parent.rstrip("/") + "/")


def _matches(patterns: tuple[str, ...], text: str) -> bool:
    return any(compile_pattern(each).fullmatch(text) for each in patterns)
