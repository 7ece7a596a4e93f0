"""What a profile's `[docker]` grants, and how an image's name is read.

A name of an image is read as docker reads it: `alpine` is `docker.io/library/alpine:latest`. In a
pattern `*` crosses no `/` and `**` does; a pattern names no tag.
"""

import re
from collections.abc import Collection

from msgspec import Struct
from msgspec.structs import replace

from airlock_modules.engine.strict import Reference, malformed
from airlock_modules.remotes.grants import compile_pattern
from airlock_wire.text import quote

DEFAULT_IMAGES = ("docker.io/**",)
"""The images of a profile that names neither `images` nor `registries`."""

_HUB = "docker.io"
_HUB_NAMES = ("index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")
_DOMAIN = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::[0-9]{1,5})?"
)
_COMPONENT = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_ID = re.compile("(?:sha256:)?[0-9a-f]{12,64}")
_LONGEST = 255


class ImageName(Struct, frozen=True):
    """A name of an image in full. `tag` is "" beside a digest, unless it is written."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """The name without tag and digest."""
        return f"{self.domain}/{self.path}"

    def __str__(self) -> str:
        """The name in full, as the engine reads it too."""
        tag = f":{self.tag}" if self.tag else ""
        return self.repository + tag + (f"@{self.digest}" if self.digest else "")


def read_image_name(text: str) -> ImageName:
    """Parse a name of an image (distribution's reference grammar). Raises Refused."""
    name, at, digest = text.partition("@")
    path, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        path, colon, tag = name, "", ""
    domain, slash, rest = path.partition("/")
    if not slash or not (set(".:") & set(domain) or domain == "localhost"):
        domain, rest = _HUB, path
    if domain in _HUB_NAMES:
        domain = _HUB
    if domain == _HUB and "/" not in rest:
        rest = f"library/{rest}"
    is_good = (
        len(text) <= _LONGEST
        and _DOMAIN.fullmatch(domain)
        and _PATH.fullmatch(rest)
        and (not colon or _TAG.fullmatch(tag))
        and (not at or _DIGEST.fullmatch(digest))
    )
    if not is_good:
        raise malformed(f"{quote(text, limit=80)} is no name of an image")
    return ImageName(domain, rest, tag if colon or at else "latest", digest)


def read_image_reference(value: object, place: str) -> Reference:
    """A reader of an image's id or name; a name is written in full."""
    if not isinstance(value, str):
        raise malformed(f"{place} is no text")
    if _ID.fullmatch(value):
        return Reference("image", value)
    return Reference("image", str(read_image_name(value)))


def is_image_id(text: str) -> bool:
    """Whether a reference is an id, or may be the beginning of one."""
    return _ID.fullmatch(text) is not None


class Root(Struct, frozen=True, kw_only=True):
    """A workspace of the agent that containers may mount.

    `inner` is its path in the agent's container, `outer` on the host; `user` is its owner as
    `UID:GID`. `covered` are paths, as `inner`, that the agent sees masked or read-only.
    """

    inner: str
    outer: str
    user: str
    is_read_only: bool = False
    covered: tuple[str, ...] = ()


class DockerGrant(Struct, frozen=True, kw_only=True):
    """The table `[docker]` of a profile, and the agent's workspaces.

    `engine` is the path of the engine's socket, "" for that of the human's docker. `images` are
    patterns of those that it may use and pull; of `registries` it may use and pull all, with the
    human's logins, which `push` has too. `read` are patterns of names of the human's containers.
    `socket` is the host's path of the agent's own `docker.sock`; memory is in bytes.
    """

    engine: str = ""
    images: tuple[str, ...] = DEFAULT_IMAGES
    registries: tuple[str, ...] = ()
    push: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    is_bridged: bool = False
    publishes_on_host: bool = False
    root_binds: bool = False
    roots: tuple[Root, ...] = ()
    socket: str = ""
    memory: int = 4 << 30
    pids: int = 4096
    containers: int = 50

    def cover(self, points: Collection[str]) -> "DockerGrant":
        """The grant for a client that sees other mounts at these points.

        Whether one masks something or is only another directory, a container that mounts what is
        above it would see what lies under it.
        """

        def narrow(root: Root) -> Root:
            covered = (each for each in points if each != root.inner and is_below(each, root.inner))
            return replace(root, covered=(*root.covered, *covered))

        return replace(self, roots=tuple(map(narrow, self.roots)))

    def may_use(self, image: ImageName) -> bool:
        """Whether it may pull this image, or use it if the engine has it."""
        return image.domain in self.registries or _matches(self.images, image.repository)

    def may_push(self, image: ImageName) -> bool:
        """Whether it may push to this name."""
        return _matches(self.push, image.repository)

    def has_login(self, image: ImageName) -> bool:
        """Whether the human's login at the image's registry is used for it."""
        return image.domain in self.registries or self.may_push(image)

    def may_read(self, name: str) -> bool:
        """Whether a container of the human's with this name may be looked at."""
        return _matches(self.read, name.removeprefix("/"))


def is_below(path: str, parent: str) -> bool:
    """Whether a path is `parent` or below it; both are normal."""
    return path == parent or path.startswith(parent.rstrip("/") + "/")


def _matches(patterns: tuple[str, ...], text: str) -> bool:
    return any(compile_pattern(each).fullmatch(text) for each in patterns)
