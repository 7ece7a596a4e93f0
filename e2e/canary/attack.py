"""What an attack on a broker is, and what each is stopped by."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from e2e.canary.scene import Scene

GUARANTEES: Mapping[str, str] = {
    "words": "no word of the client becomes an option of ssh, or another command",
    "sessions": "of the options of a client ssh gets none that names a file or runs something",
    "logins": "what [ssh] hosts does not name is not reached",
    "paths": "a path leads to the repository that it names, and nowhere else",
    "places": "what [git] push and fetch do not name is not reached",
    "known": "without [git] only hosts are reached that known_hosts has by their own names",
    "addresses": "addresses of this host and of private networks need naming, in every spelling",
    "proxies": "through a proxy of the human's only those go that a grant names by themselves",
    "refs": "a push moves what refs grants, and nothing that protect names",
    "lists": "a list of refs is read as git-receive-pack reads it, or the push is refused",
    "options": "ssh runs with the daemon's options before those of any configuration",
    "environment": "no variable of the client reaches ssh or the remote",
    "streams": "descriptors of any kind are served or refused, and nothing of them is left",
    "texts": "what a client or a server sends is shown escaped, in answers and in the log",
    "accounts": "an account of the human's git is told to no host but the one that it is for",
    "redirects": "no server leads to a place that was not granted",
    "certificates": "a server is the one that its certificate names, whatever the human's git says",
    "signing": "nothing is signed but a commit or tag without signature, as git writes it",
    "signers": "a commit or tag is signed for the persons and kinds that [sign] names alone",
    "answers": "an answer that can be read in two ways is not taken",
}
"""What must stop an attack on a broker, by the name of the guard that does."""

BOX_GUARANTEES: Mapping[str, str] = {
    "box-files": "no file of the host is in a box but the system's own and the workspace",
    "box-processes": "no process of the host is in reach of a box, nor what it has",
    "box-filter": "no system call works in a box that no tool needs",
    "box-privileges": "nothing in a box has a capability, or gets one, and no device is in reach",
    "box-devices": "no device that root of a container makes is opened",
    "box-network": "no server is in reach of a box, not even of one that may have sockets",
    "box-way": "a box with a network reaches what its module names, and nothing else",
    "box-sockets": "a box has no sockets but pairs",
    "box-ipc": "no memory, queue or semaphore of the host is in reach of a box",
    "box-keys": "no keyring is in reach of a box",
    "box-environment": "a box has nothing of the daemon's environment",
    "box-directory": "a command starts in the directory that was checked, or not at all",
    "box-home": "a home that boxes keep is that of one agent and one command",
    "box-covers": "a mount of the host's in a workspace is covered, or there is no box",
    "box-later": "what is mounted on the host once a box is made is not in it",
    "box-bounds": "a box takes no more processes and memory than one may have",
    "box-descriptors": "a box has no descriptors but the three",
    "box-approvals": "nothing that the daemon has started answers a question",
}
"""The same of an attack out of a box."""

API_GUARANTEES: Mapping[str, str] = {
    "api-heads": "a request has one reading, or is refused",
    "api-bodies": "no body is taken for the next request",
    "api-headers": "no header passes that neither HTTP has nor the API lists",
    "api-credentials": "no credential passes but the placeholder",
    "api-rules": "nothing is asked for that no rule allows",
    "api-graphql": "no mutation is carried out that is not named",
    "api-hosts": "no host is reached that the API does not name",
    "api-answers": "no answer has the credential",
    "api-parts": "no answer comes in parts that are too small to find the credential in",
    "api-protocols": "no connection goes on with a protocol that was not asked for",
    "api-cookies": "no answer has a cookie",
    "api-forms": "no body of a POST makes it a method that is not granted",
    "api-uploads": "no upload goes on that another has begun",
    "api-metadata": "no metadata of an upload publishes it",
    "api-scopes": "no token is used that reaches more than the repositories",
}
"""The same of an attack on the broker of APIs."""


ENGINE_GUARANTEES: Mapping[str, str] = {
    "engine-calls": "no call is made that the table does not have",
    "engine-owned": "nothing of a person's or of another agent's is found, read or changed",
    "engine-label": "the prefix of a name alone makes nothing an agent's",
    "engine-prefix": "the label alone, which an image can bring, makes nothing an agent's",
    "engine-installation": "an agent of this name of another installation owns its own alone",
    "engine-isolated": "in an isolated network no service of the host is reached",
    "engine-builder": "nobody is root in a builder",
    "engine-processes": "no process of the host is listed, nor what it was started with",
    "engine-labels": "no program of a person's finds an agent's container by a label",
    "engine-read": "of a person's container that may be looked at nobody sees the environment",
    "engine-narrow": "no prune takes what is another's",
    "engine-fields": "a container has nothing of the host but its image, network and workspace",
    "engine-bodies": "a body has one reading, and is written anew",
    "engine-binds": "no directory is mounted but a workspace",
    "engine-links": "no link leads a mount out of its workspace",
    "engine-owner": "a container in a workspace is its owner, without capabilities",
    "engine-answers": "no answer has a path of the host",
    "engine-images": "no image is used that was neither granted, pulled nor made",
    "engine-ports": "a port leads to the agent's containers alone, in networks of its own",
    "engine-sockets": "nothing that a container can replace is mounted as a socket",
    "engine-bridge": "the volume of a bridge, which is an agent, is mounted for no agent",
    "engine-claims": "what a client behind a bridge says of itself leads nowhere",
    "engine-names": "no name of an image that a person may run leads to an agent's",
}
"""The same of an attack on the broker of a docker engine."""


PROMISES: Mapping[str, str] = {
    **dict.fromkeys(("environment", "box-environment"), "G7"),
    **dict.fromkeys(("box-directory", "engine-links", "engine-claims"), "G5"),
    "streams": "G8",
    "box-bounds": "G10",
    "texts": "G12",
}
"""The guarantee of SECURITY.md that each guard belongs to. Every guard that is not here: G4."""


class Attack(NamedTuple):
    """One thing to try. `run` carries it out, and returns all that its client gets to see.

    `guard` is one of the GUARANTEES above. `works_without` says that the
    attack has to succeed where this guard is off: an attack that cannot succeed tests nothing.
    `known` says why it succeeds with all guards, for one that does; it stays in the list until it
    does not. An attack out of boxes that are made in some ways alone names that as `only`: what
    makes them, whose daemon it is, or both. `tries` has the ids of the public reports and audit
    findings, in findings.toml, that it tries.
    """

    name: str
    guard: str
    run: "Callable[[Any], bytes]"
    works_without: bool = False
    known: str = ""
    only: str = ""
    tries: tuple[str, ...] = ()


class Family(NamedTuple):
    """Attacks of one kind. `why_not` says why they cannot be carried out here, or None."""

    name: str
    attacks: tuple[Attack, ...]
    why_not: Callable[[], str | None] = lambda: None


def ask(
    name: str,
    guard: str,
    *words: str,
    agent: str = "pinned",
    command: str = "git-remote",
    transport: str = "ssh",
    says: bytes = b"",
    then: bytes = b"",
    way: str = "pipes",
    env: Mapping[str, str] | None = None,
    works_without: bool = False,
    tries: tuple[str, ...] = (),
) -> Attack:
    """An attack by one request: the words for its command, and what its stdin says.

    `transport` is that of git-remote; `then` is said once something has come back.

    In all of them stands `<open>` for the folder of the repositories that are granted, and the rest
    of `Scene.names`.
    """

    def run(scene: "Scene") -> bytes:
        args = [transport, *words] if command == "git-remote" else [*words]
        return scene.converse(
            agent, args, command=command, says=says, then=then, way=way, env=env or {}
        )

    return Attack(name, guard, run, works_without, tries=tries)


def select(attacks: Iterable[Attack], guard: str) -> list[Attack]:
    """Those that must succeed without the guard."""
    return [attack for attack in attacks if attack.guard == guard and attack.works_without]
