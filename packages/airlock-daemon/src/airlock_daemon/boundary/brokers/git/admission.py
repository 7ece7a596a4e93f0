"""Admits conversations with a remote; `over_ssh` adds the ssh part."""

from urllib.parse import quote as encode

from msgspec.structs import replace

from airlock_daemon.boundary.brokers.addresses import Address, find_inner, resolve
from airlock_daemon.boundary.brokers.git.credential import ask_helpers, ask_settings
from airlock_daemon.boundary.brokers.git.remote import LfsRemote, Remote, UrlRemote
from airlock_daemon.boundary.brokers.git.rules import (
    admit_protocol,
    find_granted,
    judge_as_git,
    needs_line,
    read_remote,
    refuse_words,
    url_of,
    verb_of,
)
from airlock_daemon.boundary.brokers.http.connecting import Origin, Proxy, find_proxy
from airlock_daemon.boundary.brokers.http.tls import read_trust
from airlock_daemon.boundary.brokers.requester import Requester
from airlock_daemon.errors import Denied
from airlock_daemon.setup.generation import Generation
from airlock_modules import Destination, Place, RemoteError, RemoteRequest
from airlock_modules.remotes.destination import DEFAULT_PORTS, Scheme
from airlock_wire import quote

# Characters that a URL path may contain unescaped (RFC 3986, 3.3).
_PLAIN = "/!$&'()*+,;=:@-._~"


async def admit_url(
    asked: RemoteRequest, generation: Generation, requester: Requester
) -> UrlRemote:
    """Admit `asked`, a fetch from a URL: the least that a client can want there.

    Raises Denied (layer "broker"); Failed if git or the resolver fails.
    """
    destination = asked.destination
    place = find_granted(asked, generation)
    git = generation.programs.demand("git")
    if place is None and not await _is_known(destination, git, requester):
        raise _needs_naming(asked, "is no host for which git has a credential helper by name")
    origin, barrier = await find_origin(
        destination.scheme, destination.host, destination.port, path_of(destination), git, requester
    )
    remote = UrlRemote(
        destination=destination,
        origin=origin,
        git=git,
        barrier=barrier,
        is_first=requester.variables.get("GIT_PROTOCOL") == "version=1",
    )
    _confine(asked, place, remote)
    return remote


async def find_origin(
    scheme: Scheme, host: str, port: int | None, path: str, git: str, requester: Requester
) -> tuple[Origin, str | None]:
    """Find the server of a URL as the human's git reaches it, and why the grant must name its host
    (None if it need not).

    `host` has brackets around an IPv6 address, `port` None means the scheme's default, `path` is
    percent-encoded. Raises Failed if git or the resolver fails.
    """
    address = f"{scheme}://{host}{'' if port is None else f':{port}'}{path}"
    settings = await ask_settings(address, git, requester)
    name = host.strip("[]")
    variables = requester.variables
    way: tuple[Address, ...] | Proxy | None
    way = find_proxy(settings.get("proxy"), variables, scheme=scheme, host=name)
    barrier = None
    if way is not None:
        barrier = "is reached through a proxy, which resolves names itself"
    else:
        way = await resolve(name, family=None, limiter=requester.lookups)
        if find_inner(way) is not None:
            barrier = "has an address of this host or of no public network"
    trust = read_trust(settings, variables) if scheme == "https" else None
    number = DEFAULT_PORTS[scheme] if port is None else port
    return Origin(host=name, port=number, way=way, trust=trust), barrier


def admit_service(remote: UrlRemote, asked: RemoteRequest, generation: Generation) -> bool:
    """Admit the service that the client wants; returns whether the profile names the repository.

    Raises Denied (layer "broker" for the repository, "module" or "profile" by git's rules).
    """
    place = find_granted(asked, generation)
    _confine(asked, place, remote)
    judge_as_git((verb_of(asked), url_of(asked)), generation)
    return place is not None


async def _is_known(destination: Destination, git: str, requester: Requester) -> bool:
    """Whether the human's git has a credential helper for this host by name; never for http."""
    if destination.scheme != "https":
        return False
    return bool((await ask_helpers(destination, git, requester)).named)


def path_of(destination: Destination) -> str:
    """The destination's path, percent-encoded for a request."""
    return encode_path(destination.path)


def encode_path(path: str) -> str:
    """Percent-encode the path of a destination for a request."""
    return encode(path, safe=_PLAIN)


def address_of(destination: Destination) -> str:
    """The destination's URL, as git's configuration and messages have it."""
    port = "" if destination.port is None else f":{destination.port}"
    return f"{destination.scheme}://{destination.host}{port}{path_of(destination)}"


def _confine(asked: RemoteRequest, place: Place | None, remote: UrlRemote) -> None:
    if remote.barrier is not None and not (place is not None and place.is_literal):
        raise _needs_naming(asked, remote.barrier)


def _needs_naming(asked: RemoteRequest, why: str) -> Denied:
    host = quote(asked.destination.host)
    return needs_line(asked, f"{host} {why}, and is not named in the grant of this agent", "name")


async def admit(args: tuple[str, ...], generation: Generation, requester: Requester) -> Remote:
    """Admit the request in the arguments `args` of git-remote.

    Raises Denied (layer "broker" for arguments and destination, "module" or "profile" by git's
    rules); Failed if the human's programs fail.
    """
    if args[:1] == ("lfs",):
        return await _admit_lfs(args[1:], generation, requester)
    asked = read_remote(args, generation)
    if asked.destination.scheme != "ssh":
        return await admit_url(asked, generation, requester)
    from airlock_daemon.boundary.brokers.git.over_ssh import admit_ssh  # noqa: PLC0415

    command = f"{asked.service} '{asked.destination.path}'"
    options = ("-T", *(("-oSendEnv=GIT_PROTOCOL",) if asked.sends_protocol else ()))
    return await admit_ssh(asked, command, options, generation, requester)


async def _admit_lfs(
    words: tuple[str, ...], generation: Generation, requester: Requester
) -> LfsRemote:
    """Admit a git-lfs transfer under the rules for the fetch or push that it belongs to."""
    from airlock_daemon.boundary.brokers.git.over_ssh import admit_ssh, read_asked  # noqa: PLC0415
    from airlock_modules.remotes.lfs import read_lfs_words  # noqa: PLC0415

    try:
        wanted = read_lfs_words(words)
        transport = wanted.words[0]
        if transport == "ssh":
            wanted = replace(wanted, asked=read_asked(wanted.words[1:], generation))
    except RemoteError as error:
        raise refuse_words(error) from error
    admit_protocol(transport, generation)
    asked = wanted.asked
    api = login = None
    if transport == "ssh":
        command = f"git-lfs-authenticate '{asked.destination.path}' {wanted.operation}"
        login = await admit_ssh(asked, command, ("-T",), generation, requester)
    else:
        api = await admit_url(read_remote(wanted.words, generation), generation, requester)
        admit_service(api, asked, generation)
    return LfsRemote(
        wanted=wanted,
        api=api,
        login=login,
        git=generation.programs.demand("git"),
        place=find_granted(asked, generation),
    )
