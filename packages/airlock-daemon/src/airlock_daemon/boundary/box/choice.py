"""Chooses a command's box: the class that its module requests, as this host can make it."""

import os
import sys
from collections.abc import Iterator, Mapping
from typing import NoReturn

import msgspec
import trio
from msgspec.structs import replace

from airlock_daemon.boundary.box.box import (
    HOME,
    INSTALL_BUBBLEWRAP,
    Box,
    FileId,
    Shared,
    System,
    advising,
    find_bubblewrap_remedy,
    identify_contents,
    refuse,
)
from airlock_daemon.boundary.box.environment import build_boxed_environment
from airlock_daemon.boundary.box.kept_home import keep_home
from airlock_daemon.boundary.box.listeners import plan_listeners
from airlock_daemon.boundary.box.plan import (
    HOME_DIRECTORIES,
    find_home,
    find_watched,
    plan_box,
    plan_home_box,
    put_workspaces,
)
from airlock_daemon.boundary.box.system import (
    SYSTEM,
    ApiAccess,
    find_host_files,
    list_given,
    name_hosts,
)
from airlock_daemon.boundary.box.transports import find_transports, list_helpers, list_requests
from airlock_daemon.boundary.command import Identity
from airlock_daemon.boundary.workspace.directory import find_in_thread
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.path_text import expand_home, is_within
from airlock_daemon.setup.client import ContainerClient
from airlock_daemon.setup.generation import (
    BoxConfig,
    Generation,
    Mode,
    Profile,
    Reserved,
    leads_through,
)
from airlock_daemon.setup.human_git import ShimSettings
from airlock_modules import GIT_SIGN, Module
from airlock_wire import quote

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""The daemon's variables that name CA certificates."""


def find_certificates(environment: Mapping[str, str]) -> Iterator[str]:
    """The CA files that the daemon's environment names, unless a box has them anyway."""
    for name in CERTIFICATES:
        path = environment.get(name, "")
        if not (os.path.isabs(path) and os.path.exists(path)):
            continue
        if not any(is_within(path, place) for place in (*SYSTEM, "/etc/ssl/certs")):
            yield path


def find_read(
    paths: tuple[str, ...], home: str, module: Module, *, has_home: bool
) -> Iterator[tuple[str, str]]:
    """Yield each host path and its path in the box; paths in a home map to the box's home.

    Paths in the home are omitted if the box has the human's home.
    """
    for path in paths:
        if has_home and path.startswith("~"):
            continue
        target = expand_home(path, HOME)
        real = os.path.realpath(expand_home(path, home))
        if not (os.path.isfile(real) or os.path.isdir(real)):
            raise Denied(
                f"{path} is no file and no directory of the host, and a box is to show it",
                layer="sandbox",
                rule="read",
                hint=f"a person on the host can remove it from [sandbox] read of {module.source}"
                f"{AND_RELOAD}",
            )
        yield real, target


def refuse_private(place: str, module: Module, reserved: Reserved) -> None:
    """Raise Denied if a box of `module` would show Airlock's own files at `place`."""
    conflict = reserved.private.conflict(os.path.realpath(place))
    if conflict is not None:
        raise Denied(
            f"{quote(place)} cannot be shown in a box: {conflict}",
            layer="sandbox",
            rule="reserved",
            hint="a person on the host can install it elsewhere, or name less in [sandbox] read of "
            f"{module.source}{AND_RELOAD}",
        )


def _refuse_led(path: str, module: Module, generation: Generation) -> None:
    """Raise Denied if an agent may choose what a box would show in the place of `path`."""
    if leads_through(path, generation.workspaces):
        raise Denied(
            f"{quote(path)} cannot be shown in a box: an agent may write on the way to it",
            layer="sandbox",
            rule="read",
            hint="a person on the host can name a path outside of all workspaces, in "
            f"{' and '.join(CERTIFICATES)} of the daemon or in [sandbox] read of {module.source}"
            f"{AND_RELOAD}",
        )


class Maker(msgspec.Struct, frozen=True, kw_only=True):
    """How boxes are made: by the program `bubblewrap`, or with Landlock if that is None.

    bubblewrap and the box's processes run as `identity`. `is_home`: the box has the class "home".
    """

    bubblewrap: str | None
    identity: Identity
    is_home: bool = False

    @property
    def name(self) -> str:
        """The name in audit records."""
        maker = "landlock" if self.bubblewrap is None else "bubblewrap"
        if not self.is_home:
            return maker
        name = BoxConfig.HOME_CLASS
        return name if self.bubblewrap is not None else f"{name}, {maker}"

    @property
    def renames(self) -> bool:
        """Whether the box has the container's paths."""
        # A closed box whose paths would differ is refused.
        return self.bubblewrap is not None or not self.is_home

    @staticmethod
    def refuse_elsewhere(module: Module, where: str) -> NoReturn:
        """Refuse a box to a client whose engine runs containers `where`, on another system."""
        with advising(module):
            raise refuse(
                f"containers run elsewhere ({where}), and the tools of this host are another "
                "system's than theirs",
                "have the tool in the image of the container, or run that by an engine of this "
                "host: docker context ls",
            )

    @staticmethod
    def find(module: Module, generation: Generation) -> "Maker | None":
        """Find how to make the box of a command of `module`; None for a command without a box.

        Raises Denied (rule "no-box") if it requires one that this host cannot make.
        """
        mode = generation.boxes.mode
        if module.sandbox is None and module.lacks_box:
            # The evaluator has already refused it.
            raise TypeError(module.name)
        if not module.wants_box or (mode == "off" and not module.relies_on_box):
            return None
        with advising(module):
            maker = _find_maker(mode, generation, is_home=module.shows_home)
            if module.has_engine and maker.bubblewrap is None:
                remedy = find_bubblewrap_remedy(generation.programs)
                raise refuse("the way to a docker engine needs one that bubblewrap makes", remedy)
            return maker


def _find_maker(mode: Mode, generation: Generation, *, is_home: bool) -> Maker:
    if sys.platform != "linux":
        raise _refuse_without_linux()
    if mode == "off":
        remedy = f'write mode = "auto" in [sandbox] of config.toml{AND_RELOAD}'
        raise refuse("boxes are switched off", remedy)
    identity = find_identity(generation.boxes)
    program = None if mode == "landlock" else generation.programs.find(BoxConfig.BUBBLEWRAP)
    if program is not None:
        return Maker(bubblewrap=program, identity=identity, is_home=is_home)
    if mode == "require-bubblewrap":
        raise refuse("bubblewrap is not installed", INSTALL_BUBBLEWRAP)
    missing = BoxConfig.explain_no_fence()
    if missing is not None:
        absent = "" if mode == "landlock" else "bubblewrap is not installed, and "
        raise refuse(f"{absent}{missing}", INSTALL_BUBBLEWRAP)
    return Maker(bubblewrap=None, identity=identity, is_home=is_home)


def _refuse_without_linux() -> Denied:
    """The refusal of all that needs a box, where Python is not one for Linux."""
    system = {"darwin": "macOS"}.get(sys.platform, sys.platform)
    return Denied(
        "this command runs in a box, and this host makes none: that needs Linux, and the daemon's "
        f"Python is one for {system}",
        layer="sandbox",
        rule="no-box",
        hint="let the image have the tool, and reach its service by the broker "
        '(airlock show NAME --security); a person may set box = "none" in a module of their own',
    )


def find_identity(config: BoxConfig, *, wanted: str = "this command") -> Identity:
    """Find the user that runs in this daemon's boxes; `wanted` names the command in a refusal.

    Raises Denied if that would be root, or another user than the daemon may become.
    """
    user = os.geteuid()
    if config.user is not None and user in (0, config.user.user):
        return Identity(config.user.user, config.user.group)
    if user == 0:
        raise refuse(
            "the daemon runs as root, which no box may",
            'in config.toml: [sandbox] user = "NAME", a user that can enter the workspaces'
            f"{AND_RELOAD}",
            wanted=wanted,
        )
    if config.user is not None:
        raise refuse(
            "[sandbox] user is another one than the daemon's, which is not root",
            f"remove that line from config.toml{AND_RELOAD}",
            wanted=wanted,
        )
    return Identity(user, os.getegid())


class Boxed(msgspec.Struct, frozen=True):
    """A command's box, its maker, and what the box must not contain."""

    box: Box
    maker: Maker
    reserved: Reserved

    def list_shown(self) -> Iterator[str]:
        """The paths in the box at which it shows files of the host."""
        shown = (each for each in self.box.operations if isinstance(each, System | Shared))
        return (each.target for each in shown)

    def build_environment(
        self,
        module: Module,
        profile: Profile,
        *,
        daemon: Mapping[str, str],
        search_path: str,
        client: Mapping[str, str],
        term: str | None,
    ) -> dict[str, str]:
        """As `command.build_environment`, for a command in this box."""
        return build_boxed_environment(
            module,
            profile,
            self.box,
            daemon=daemon,
            search_path=search_path,
            client=client,
            term=term,
        )


class _Inputs(msgspec.Struct, frozen=True):
    """The inputs of a box's plan, besides the generation."""

    module: Module
    maker: Maker
    program: str
    access: ApiAccess | None


class _Template(msgspec.Struct, frozen=True):
    """A box without the client's directories; `own` are the paths that it needs itself.

    `identities` are those of its watched files, taken before planning; empty at first.
    """

    inputs: _Inputs
    box: Box
    own: tuple[str, ...]
    identities: tuple[FileId, ...] = ()


class Templates:
    """Caches an agent's planned boxes for one generation.

    A box is planned again when a host file that determined it changes. Templates hold nothing of a
    request.
    """

    def __init__(self, generation: Generation, environment: Mapping[str, str]) -> None:
        """`environment` is the daemon's; it names the human's home and CA certificates."""
        self.generation = generation
        self._environment = environment
        self._planned: dict[tuple[str, bool], _Template] = {}

    def choose_box(
        self,
        module: Module,
        maker: Maker,
        workspace: Workspace,
        program: str,
        access: ApiAccess | None = None,
    ) -> Box:
        """Choose the box in which `program`, an absolute path, runs for `module` in `workspace`.

        Its home is a fresh one until `keep_home`. `access` is its access to APIs, None if it has
        none or is only inspected. Raises Denied (layer "sandbox") if the program, or a path that
        the module requires, cannot be shown.
        """
        inputs = _Inputs(module, maker, program, access)
        template = self._plan(inputs) if maker.is_home else self._find(inputs)
        box = put_workspaces(
            template.box,
            workspace if maker.renames else _keep_paths(workspace),
            identity=maker.identity,
            reserved=self.generation.reserved,
            own=template.own,
            is_fence=maker.bubblewrap is None,
        )
        if maker.bubblewrap is None:
            from airlock_daemon.boundary.box.landlock import refuse_unshowable  # noqa: PLC0415

            with advising(module):
                remedy = find_bubblewrap_remedy(self.generation.programs)
                refuse_unshowable(box, workspace.mounts, remedy=remedy)
        return box

    async def keep_home(
        self, box: Box, module: Module, maker: Maker, lookups: trio.CapacityLimiter
    ) -> Box:
        """The box of `choose_box` with the home that `module` keeps, if it does.

        Raises Denied (layer "sandbox") if that cannot be used, and Failed.
        """
        if module.sandbox is None or not module.sandbox.keeps_home or not maker.bubblewrap:
            return box
        home = os.path.join(self.generation.homes, module.name)
        # A tool may hold the lock of a directory there. The thread closes what it opens itself.
        return await find_in_thread(lambda: keep_home(box, home, maker.identity), lookups)

    def _find(self, inputs: _Inputs) -> _Template:
        name = (inputs.module.name, inputs.access is None)
        known = self._planned.get(name)
        identities = () if known is None else identify_contents(known.box.watched)
        if known is not None and known.identities == identities and known.inputs == inputs:
            return known
        planned = self._plan(inputs)
        if known is not None and known.box.watched == planned.box.watched:
            # Taken before planning, so that later changes yield different ids.
            planned = replace(planned, identities=identities)
        self._planned[name] = planned
        return planned

    def _plan(self, inputs: _Inputs) -> _Template:
        generation, environment = self.generation, self._environment
        module, maker, sandbox = inputs.module, inputs.maker, inputs.module.sandbox
        if sandbox is None:
            raise TypeError(module.name)
        limits, path, named = (
            generation.limits,
            generation.programs.path,
            environment.get("HOME", "/"),
        )
        home = None
        if maker.is_home:
            reserved = generation.reserved
            home = find_home(maker.identity, environment, reserved=reserved, limits=limits)
        read = {path: path for path in find_certificates(environment)}
        for path in (*read, *(expand_home(path, named) for path in sandbox.read)):
            _refuse_led(path, module, generation)
        read |= dict(find_read(sandbox.read, named, module, has_home=home is not None))
        seen = (
            *read,
            *(HOME_DIRECTORIES if maker.is_home else ()),
            *(() if home is None else (home.path,)),
        )
        places = find_host_files(
            inputs.program, home=named, path=path, seen=seen, everywhere=maker.is_home
        )
        for place in (*places.shown, *read):
            refuse_private(place, module, generation.reserved)
        given = () if inputs.access is None else tuple(list_given(inputs.access))
        is_fenced = maker.bubblewrap is None
        asks = list_requests(sandbox.brokers, generation.grant, is_fenced=is_fenced)
        if maker.is_home:
            box = plan_home_box(home, places=places.shown, read=read, limits=limits)
        else:
            box = plan_box(
                places=places.shown,
                read=read,
                identity=maker.identity,
                sockets=sandbox.sockets,
                limits=limits,
                git_config=_configure_git(maker, sandbox.brokers, asks, generation)
                if module.runs_git
                else None,
                given=given,
            )
        box = _let_ask(box, asks, maker, generation)
        listeners = plan_listeners(
            sandbox.network,
            module.source,
            has_engine=module.has_engine,
            uses_apis=module.uses_apis,
        )
        if listeners is not None:
            box = name_hosts(box, listeners.hosts)
        watched = find_watched(box, places.read, self._list_looked_for(inputs))
        box = replace(box, listeners=listeners, follows=sandbox.links, watched=watched)
        own = (*(HOME_DIRECTORIES if maker.is_home else ()), *places.shown, *read.values())
        return _Template(inputs, box, (*own, *(each.target for each in given)))

    def _list_looked_for(self, inputs: _Inputs) -> Iterator[str]:
        """The host paths that are looked up, besides the program's own."""
        sandbox, programs = inputs.module.sandbox, self.generation.programs
        yield from filter(None, map(self._environment.get, CERTIFICATES))
        for path in () if sandbox is None else sandbox.read:
            yield expand_home(path, self._environment.get("HOME", "/"))
        if inputs.access is not None:
            yield from ContainerClient.STORES
        if inputs.module.runs_git:
            yield from list_helpers(programs)
            # These are looked up on PATH.
            for name in ("git", "git-lfs"):
                yield from (os.path.join(entry, name) for entry in programs.path.split(os.pathsep))


def _configure_git(
    maker: Maker, brokers: tuple[str, ...], asks: tuple[str, ...], generation: Generation
) -> bytes:
    """The git configuration for a box; it sets up git-lfs and signatures if the shim is there."""
    has_lfs, signs = maker.renames and "git" in brokers, GIT_SIGN in asks
    settings = ShimSettings(
        agent=ShimSettings.BOX_AGENT if has_lfs else None,
        signer=ShimSettings.BOX_SIGNER if signs else None,
        is_openpgp=generation.agent.profile.signs_by_openpgp,
    )
    return generation.git_config + settings.compose(
        has_filters=has_lfs and generation.programs.find("git-lfs") is not None,
        signs_commits=signs and generation.signs_commits,
    )


def _keep_paths(workspace: Workspace) -> Workspace:
    """The workspace at the host's paths."""
    source = workspace.source
    if source is None:
        return workspace
    return replace(workspace, source=replace(source, target=workspace.root), mounts=None)


def _let_ask(box: Box, asks: tuple[str, ...], maker: Maker, generation: Generation) -> Box:
    """Add the transports by which a box requests `asks`."""
    if not asks:
        return box
    is_fenced = maker.bubblewrap is None
    transports = find_transports(generation.programs, asks, is_fenced=is_fenced)
    return replace(
        box,
        operations=(*box.operations, *transports),
        requests=asks,
    )
