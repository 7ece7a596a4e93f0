"""Whose an object of the engine is, and its name on both sides.

An object of an agent has the labels `airlock.agent` and `airlock.installation`, and the prefix
`airlock-AGENT-INSTALLATION-` before its name. Labels alone are not enough, since a container
inherits those of its image, which an agent may have made for a person to run; nor is the prefix,
since names of agents may begin alike. The installation is that of the daemon: those of several
users at one engine may have agents of one name. A client's own labels have other names at the
engine, because a person's programs obey them: compose, a reverse proxy, a scheduler of commands.
The client never sees the prefix, and never names a label of Airlock's.
"""

import hashlib
import re
from collections.abc import Callable, Mapping

from msgspec import Struct

from airlock_modules.engine.strict import Refused, encode, malformed, mapping, text
from airlock_wire.text import quote

LABEL = "airlock.agent"
"""The label with the agent's name, which every object of it has."""
INSTALLATION_LABEL = "airlock.installation"
"""The label with the id of the daemon's installation, which every object has, too."""
IMAGE_LABEL = "airlock.image"
"""The label of a container with the image's name as the client wrote it."""
USER_LABEL = "airlock.user"
"""The label of a container with the user that its commands run as; empty for any."""
PORTS_LABEL = "airlock.ports"
"""The label of a container with its ports at the agent's loopback (`ports.write_ports`)."""
ROOT_LABEL = "airlock.root"
"""The label of a volume that is a workspace, which no client may name."""
_CLIENT_LABEL = "airlock.label."
_PREFIX = "airlock"
AGENTS = f"{_PREFIX}-"
"""The beginning of the name at the engine of each agent's objects."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class Ownership(Struct, frozen=True):
    """What marks the objects of the agent `agent` of the installation with the id `installation`.

    Ids are of one length.
    """

    agent: str
    installation: str

    @property
    def prefix(self) -> str:
        """The beginning of its objects' names at the engine."""
        return f"{AGENTS}{self._name}-"

    @property
    def _name(self) -> str:
        return f"{self.agent}-{self.installation}"

    @property
    def filters(self) -> list[str]:
        """The values of the filter `label` that list its objects alone."""
        return [f"{name}={value}" for name, value in self.add_labels({}).items()]

    def owns(self, name: object, labels: object) -> bool:
        """Whether an object with this name, as the engine has it, is the agent's."""
        if not isinstance(name, str) or not isinstance(labels, Mapping):
            return False
        is_named = name.removeprefix("/").startswith(self.prefix)
        return is_named and self.add_labels({}).items() <= labels.items()

    @property
    def root_prefix(self) -> str:
        """The beginning of the names of volumes that are workspaces."""
        return f"{_PREFIX}root-{self._name}-"

    def root_volume(self, root: str) -> str:
        """The name of the volume that is the workspace `root`. No `outer` name is equal to it."""
        digest = hashlib.sha256(root.encode(errors="surrogateescape")).hexdigest()[:16]
        return self.root_prefix + digest

    def outer(self, name: str) -> str:
        """The name at the engine of an object that the client calls `name`. Raises Refused."""
        if not _NAME.fullmatch(name):
            raise malformed(f"{quote(name, limit=80)} is no name of an object of the engine")
        return self.prefix + name

    def inner(self, name: str) -> str:
        """The client's name of an object; a name without the prefix stays as it is."""
        slash = "/" if name.startswith("/") else ""
        return slash + name.removeprefix("/").removeprefix(self.prefix)

    def outer_pattern(self, pattern: str) -> str:
        """A filter's pattern of names, as it matches the engine's names of the agent's objects."""
        begins = re.match(r"\^/?|/", pattern)
        rest = f".*{pattern}" if begins is None else pattern[begins.end() :]
        return "^/?" + self.prefix.replace(".", r"\.") + rest

    def add_labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        """The client's labels, with the agent's own."""
        return {**labels, LABEL: self.agent, INSTALLATION_LABEL: self.installation}

    def clean(self, line: str) -> str:
        """A message of the engine with the client's names."""
        return line.replace(self.prefix, "")


def is_airlocks(label: str) -> bool:
    """Whether a label is Airlock's, in any case and with blanks around."""
    return label.strip().casefold().split("=")[0].partition(".")[0] == _PREFIX


def outer_label(label: str) -> str:
    """The name at the engine of a client's label."""
    return _CLIENT_LABEL + label


def _read_label(value: object, place: str) -> object:
    name = _TEXT(value, place)
    if not isinstance(name, str):
        raise TypeError(name)
    if is_airlocks(name):
        raise Refused(
            f"the label {quote(name, limit=80)} is one of Airlock's own",
            hint="choose a label that begins with another word",
        )
    return outer_label(name)


_TEXT = text(limit=4096)
_MAX_LABELS = 64 << 10
_read_labels = mapping(_read_label, text())


def labels(value: object, place: str) -> object:
    """The client's labels, none of which is Airlock's, by their names at the engine."""
    found = _read_labels(value, place)
    # Every list of the engine has them, also other people's.
    if len(encode(found)) > _MAX_LABELS:
        raise Refused(
            f"{place} is longer than {_MAX_LABELS >> 10} KiB",
            hint="give it fewer labels, or shorter ones",
            rule="labels",
        )
    return found


def show_labels(found: object) -> object:
    """The labels of an object as its client sees them."""
    if not isinstance(found, Mapping):
        return found
    of_image = {name: value for name, value in found.items() if not is_airlocks(name)}
    own = {
        name.removeprefix(_CLIENT_LABEL): value
        for name, value in found.items()
        if name.startswith(_CLIENT_LABEL)
    }
    return {**of_image, **own}


def cover_labels(own: Mapping[str, str], of_image: Mapping[str, str]) -> dict[str, str]:
    """The labels of a container that would inherit those of its image: these stay the client's."""
    shown = show_labels(of_image)
    inherited = dict(shown) if isinstance(shown, Mapping) else {}
    covered = {name: "" for name in of_image if not is_airlocks(name)}
    return {**covered, **{outer_label(name): value for name, value in inherited.items()}, **own}


def rename_keys(table: object, inner: Callable[[str], str]) -> object:
    """A table by name, with the client's names."""
    if not isinstance(table, Mapping):
        return table
    return {inner(str(name)): value for name, value in table.items()}
