"""Names of images: docker's grammar, and the names that an agent gives.

A name is read as docker reads it: `alpine` is `docker.io/library/alpine:latest`. A name that an
agent gives to an image is for that agent alone. At the engine it is another one, below
`airlock.invalid/AGENT/`: otherwise a person who runs `node:20` could get what an agent has tagged.
"""

import hashlib
import re
from collections.abc import Iterable

from msgspec import Struct

from airlock_modules.engine.strict import Reference, Refused, malformed
from airlock_wire.text import quote

_OWN_DOMAIN = "airlock.invalid"
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
_MAX_LENGTH = 255


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
    domain, rest = _split(path)
    is_good = (
        len(text) <= _MAX_LENGTH
        and domain != _OWN_DOMAIN
        and _DOMAIN.fullmatch(domain)
        and _PATH.fullmatch(rest)
        and (not colon or _TAG.fullmatch(tag))
        and (not at or _DIGEST.fullmatch(digest))
    )
    if not is_good:
        raise malformed(f"{quote(text, limit=80)} is no name of an image")
    return ImageName(domain, rest, tag if colon or at else "latest", digest)


def _split(path: str) -> tuple[str, str]:
    """The registry of a name without tag, and the rest, both in full."""
    domain, slash, rest = path.partition("/")
    if not slash or not (set(".:") & set(domain) or domain == "localhost"):
        domain, rest = _HUB, path
    if domain in _HUB_NAMES:
        domain = _HUB
    return domain, f"library/{rest}" if domain == _HUB and "/" not in rest else rest


def read_image_reference(value: object, place: str) -> Reference:
    """A reader of an image's id or name; a name is written in full."""
    if not isinstance(value, str):
        raise malformed(f"{place} is no text")
    if _ID.fullmatch(value):
        return Reference("image", value)
    return Reference("image", str(read_image_name(value)))


def read_engine_name(name: str) -> ImageName | None:
    """Parse a name that an engine has; None for one that no client can name.

    These are names of agents, and `<none>`.
    """
    if is_image_id(name):
        return None
    try:
        return read_image_name(name)
    except Refused:
        return None


def is_image_id(text: str) -> bool:
    """Whether a reference is an id, or may be the beginning of one."""
    return _ID.fullmatch(text) is not None


class OwnImages(Struct, frozen=True):
    """The names at the engine of images that the agent `agent` of an installation has named."""

    agent: str
    installation: str

    @property
    def prefix(self) -> str:
        """The beginning of these names."""
        readable = re.sub("[^a-z0-9]+", "-", self.agent.lower()).strip("-")
        # Names of agents differ by letters that no name of an image may have.
        whole = f"{self.installation} {self.agent}"
        digest = hashlib.sha256(whole.encode()).hexdigest()[:12]
        return f"{_OWN_DOMAIN}/{readable}-{digest}/"

    def outer(self, image: ImageName) -> str:
        """The engine's name of an image that the client calls `image`, which has a tag."""
        # Of all parts of a name the domain alone may have a colon, and no underscore.
        return f"{self.prefix}{image.domain.replace(':', '__')}/{image.path}:{image.tag}"

    def outer_pattern(self, pattern: str) -> str:
        """The pattern of a filter, as it matches these names."""
        domain, rest = _split(pattern)
        return f"{self.prefix}{domain.replace(':', '__')}/{rest}"

    def inner(self, name: str) -> str:
        """The client's spelling of a name at the engine; another's stays as it is."""
        if not name.startswith(self.prefix):
            return name
        domain, _, rest = name.removeprefix(self.prefix).partition("/")
        return shorten_name(f"{domain.replace('__', ':')}/{rest}")

    def spell(self, names: Iterable[str]) -> tuple[str, ...]:
        """The engine's names of an image in full, as this agent or a registry calls it."""
        found = (read_engine_name(self.inner(name)) for name in names)
        return tuple(str(each) for each in found if each is not None)


def shorten_name(name: str) -> str:
    """A name as docker prints it."""
    return name.removeprefix(f"{_HUB}/").removeprefix("library/")


def join_tag(name: str, tag: object) -> ImageName:
    """An image by the two parameters of the API; the second one may be a digest. Raises Refused."""
    if not tag:
        return read_image_name(name)
    separator = "@" if ":" in str(tag) else ":"
    repository = read_image_name(name).repository
    return read_image_name(f"{repository}{separator}{tag}")
