"""`airlock run`: a container in the foreground, as if its engine replaced this program."""

import os
import resource
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Annotated, Any

import msgspec
import typer
from typer.core import TyperCommand

from airlock_daemon.admin.cli.api_access import (
    await_authority,
    choose_command,
    choose_network,
    describe_reach,
    prepare_access,
    take_option,
)
from airlock_daemon.admin.cli.application import Application, pass_obj
from airlock_daemon.admin.cli.carried_files import carry_files
from airlock_daemon.admin.cli.container_lines import lay_out
from airlock_daemon.admin.cli.docker_args import refuse_doors
from airlock_daemon.admin.cli.image import (
    ENGINE,
    find_engine,
    inspect_image,
    list_mounts,
    list_running,
    silence,
)
from airlock_daemon.admin.cli.machine import KnownImage, User, prepare_machine, read_image
from airlock_daemon.admin.cli.mounted_workspaces import (
    choose_workspaces,
    describe_mounted,
    find_directory,
    refuse_replaced,
)
from airlock_daemon.admin.cli.next_steps import choose_start
from airlock_daemon.admin.cli.output import print_message, print_messages
from airlock_daemon.admin.cli.read_only import protect
from airlock_daemon.admin.cli.scan import watch
from airlock_daemon.admin.cli.wiring import (
    Machine,
    Wiring,
    begin_words,
    docker_words,
    find_volume,
    list_replaceable,
    list_shims,
)
from airlock_daemon.admin.listening import is_served
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.generation import Setup
from airlock_daemon.setup.shim_program import find_shim
from airlock_daemon.setup.status import DaemonStatus
from airlock_wire import quote

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class _AgentFirst(TyperCommand):
    """A command whose options may also follow its first positional."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move the first positional after the options that follow it, and parse that."""
        before, rest = self._split(ctx, args)
        between, words = self._split(ctx, rest[1:])
        # After "--" a word is no option.
        if "--" not in (*before, *between):
            args = [*before, *between, *rest[:1], *words]
        return super().parse_args(ctx, args)

    def _split(self, ctx: Any, args: list[str]) -> tuple[list[str], list[str]]:
        """The options at the start of `args`, and the rest."""
        parser = type(self.make_parser(ctx))(ctx)
        for parameter in self.get_params(ctx):
            if parameter.param_type_name == "option":
                parameter.add_to_parser(parser, ctx)
        _, rest, _ = parser.parse_args(list(args))
        end = len(args) - len(rest)
        return args[:end], args[end:]


@app.command(cls=_AgentFirst, context_settings={"allow_interspersed_args": False})
@pass_obj
def run(
    application: Application,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="Name of the agent.")],
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="The image, which is there.")],
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="CMD", help="What to run in it, instead of what the image says."),
    ] = None,
    workspace: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIR",
            help="Directory to mount at the same path; may be repeated.  [default: those of the "
            "profile, else the current one]",
            show_default=False,
        ),
    ] = None,
    docker_arg: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD", help="A word for `docker run`, as --docker-arg=--init; may be repeated."
        ),
    ] = None,
    read_only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="Path in a workspace that the container cannot change, nor make where it is not "
            "there; may be repeated.",
        ),
    ] = None,
    image_user: Annotated[
        bool, typer.Option("--image-user", help="Leave user, accounts and home to the image.")
    ] = False,
    network: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The container's network, as for docker.  [default: none for an agent that has an "
            "API, as all that it is granted goes through its sockets; else docker's own]",
            show_default=False,
        ),
    ] = None,
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the line for docker, and run nothing.")
    ] = False,
) -> None:
    """Run a container for an agent, from any image.

    Mounts the agent's socket directory, and the shim under the name of each granted command, in a
    directory that comes first on the image's PATH, in login shells too. A command that uses an API,
    such as gh or npm, is the image's own tool if there is one, else this host's in a box; a line
    says which. The workspace has the same path on both sides, and the container starts in the
    directory in which you call this. It runs as yourself, with an account and a home that the agent
    keeps, and is removed when it ends. The shim starts the image's own entrypoint. First it refuses
    a workspace that was replaced after this command looked at it.

    For an agent with [bridge], whose containers run in a virtual machine, sockets, shim and
    certificates are in a volume, which the daemon keeps (airlock bridge), and home and accounts in
    another one. Only the workspaces are directories of this host.

    If the agent is granted an API, such as gh or anthropic, the container has a proxy on its
    loopback address that leads to the HTTPS broker; the certificate of the agent's own authority,
    over that of the image and in the variables that programs read; and a placeholder for each
    credential. It has no other network unless --network names one.

    It runs `docker run`: terminal, signals and exit status are docker's. When the container has
    ended, it lists what is new in the workspace that your own tools would run on this host, as
    `scan` does. Options come before IMAGE; every word after it belongs to the container. What
    --docker-arg gives comes last, and wins.
    """
    setup, generation = application.load_agent(agent)
    commands = generation.agent.profile.granted(setup.config.ceiling)
    if not commands and not generation.apis:
        raise AirlockError(
            f"agent {agent} is granted no command that is enabled",
            hint=f"make commands in {generation.agent.profile_file} and [commands] enable in "
            f"{setup.locations.config_file} agree",
        )
    sockets = os.path.join(setup.locations.sockets_dir, agent)
    if not only_print:
        if not is_served(os.path.join(sockets, "airlock.sock")):
            raise _not_served(application, setup, agent)
        await_authority(sockets, agent, generation.apis)
    chosen = choose_workspaces(setup, generation, workspace or ())
    workspaces = tuple(chosen)
    volume = find_volume(setup, generation.agent)
    engine = find_engine(
        ENGINE if volume is None else volume.engine,
        [*generation.workspaces, *(mount.source for mount in workspaces)],
    )
    described = inspect_image(engine, image)
    user = User.find()
    replaceable = list_replaceable(generation.agent, commands)
    known = read_image(engine, described, locations=setup.locations, user=user, tools=replaceable)
    said, entrypoints = take_option(docker_arg or (), "--entrypoint")
    said, networks = take_option(said, "--network", "--net")
    wiring = carry_files(
        Wiring(
            sockets=sockets,
            shim=find_shim(described.architecture, search_path=generation.programs.path),
            engine=os.path.basename(engine),
            volume="" if volume is None else volume.name,
            commands=list_shims(generation.agent, setup.config.ceiling),
            replaceable=replaceable,
            workspaces=workspaces,
            search_path=described.search_path,
            machine=Machine()
            if image_user
            else prepare_machine(
                setup.locations,
                agent,
                user=user,
                search_path=generation.programs.path,
                image=described,
                known=known,
            ),
            access=prepare_access(
                setup.locations,
                setup.state,
                agent,
                generation.apis,
                stores=known.stores,
                has_engine=generation.docker is not None,
                volume="" if volume is None else volume.name,
                is_run=not only_print,
            ),
            networks=choose_network((*filter(None, [network]), *networks), generation.apis),
            exec_options=(),
            signs_by_openpgp=generation.agent.profile.signs_by_openpgp,
        ),
        volume,
        user=user,
        search_path=generation.programs.path,
        program=engine,
    )
    if wiring.has_own_git and not known.has_git:
        _refuse_without_git(agent, image, command or ())
    groups = docker_words(
        wiring,
        user=None if image_user else user.ids,
        directory=find_directory(workspaces),
        has_terminal=sys.stdin.isatty() and sys.stdout.isatty(),
    )
    print_messages(
        refuse_doors(
            said,
            sockets_dir=setup.locations.sockets_dir,
            agent=agent,
            accepts_engine=generation.agent.profile.engine_socket,
            volumes=setup.state.bridges.list_all() if said else (),
            list_mounts=lambda container: list_mounts(engine, container),
        )
    )
    reach = describe_reach(agent, generation.apis, wiring.networks)
    print_messages((*reach, *_describe_tools(known, replaceable)))
    protected = protect(read_only or (), workspaces, can_make=not only_print)
    groups += [*(("--mount", mount.option) for mount in protected.mounts), *zip(said, strict=True)]
    start = choose_command(image, described, command or (), entrypoints)
    if not only_print:
        options = describe_mounted({**chosen, **protected.mounts})
        wiring = msgspec.structs.replace(wiring, exec_options=options)
        groups += silence(described, said)
    # Run the image that was inspected, rather than a registry's of the same name.
    groups += [("--pull=never", image, *begin_words(wiring, start))]
    words = [word for group in groups for word in group]
    if not only_print:
        try:
            tell = watch(setup.state, generation.agent, workspaces)
            refuse_replaced(chosen)
            status = run_in_foreground(engine, words)
        finally:
            _calm_terminal()
            print_messages(protected.clean())
        print_messages(tell())
        if generation.docker is not None:
            print_messages(list_running(engine, agent, setup.state, named=generation.docker.engine))
        raise typer.Exit(end_like(status))
    application.print({"docker_run": words}, [lay_out(groups)])


def _describe_tools(known: KnownImage, replaceable: Sequence[str]) -> Iterator[str]:
    """One line on which tools are the image's own, and which are this host's."""
    own = [name for name in replaceable if known.tools[name]]
    others = [name for name in replaceable if not known.tools[name]]
    parts = []
    if own:
        parts.append(f"{', '.join(own)}: the image's own")
    if others:
        parts.append(f"{', '.join(others)}: this host's, in a box")
    if parts:
        yield "; ".join(parts)


def _refuse_without_git(agent: str, image: str, command: Sequence[str]) -> None:
    """Warn that the image lacks git; raises AirlockError if the command is git."""
    error = AirlockError(
        f"the image {quote(image)} has no git on its PATH, and agent {agent} is granted the "
        "remotes of the container's own git alone (git-remote)",
        hint="use an image that has git, or grant git, the host's, in a box: "
        f'commands = ["git"] in the airlock.toml of {agent}',
    )
    if os.path.basename(command[0] if command else "") == "git":
        raise error
    print_message(f"warning: {error.message}", f"hint: {error.hint}")


def _not_served(application: Application, setup: Setup, agent: str) -> AirlockError:
    locations = setup.locations
    if DaemonStatus.find(locations) is not None:
        hint = "have the running daemon read the registration: airlock reload"
        return AirlockError(f"the running daemon does not serve agent {agent}", hint=hint)
    line = shlex.join(choose_start(application, locations.agents or ""))
    return AirlockError(
        f"no daemon serves agent {agent} in {locations.sockets_dir}",
        hint=f"start it, as a service (airlock init) or in another terminal: {line}",
    )


def _calm_terminal() -> None:
    """Reset a terminal, whatever another program has printed.

    That may be an unfinished control string, or invisible text. This ends the string, and selects
    ASCII and plain text.
    """
    if sys.stderr.isatty():
        print("\033\\\033(B\017\033[0m", end="", file=sys.stderr, flush=True)


_FOLLOWED = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1),
    *(signal.SIGUSR2, signal.SIGWINCH, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
    *(signal.SIGCONT, signal.SIGALRM),
)
_NEVER_OF_TERMINALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)


def run_in_foreground(program: str, words: list[str]) -> int:
    """Run `program` with `words` as its argv, and return its wait(2) status.

    It stays in this process group, so it gets the terminal's signals, and stops and continues with
    it. Signals that other processes send to this one are forwarded. Raises OSError if it cannot be
    started.
    """
    watched = {*_FOLLOWED, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    try:
        child = os.posix_spawn(
            program,
            words,
            os.environ,
            setsigmask=before,
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
        )
        return _follow(child, watched)
    finally:
        _discard(watched)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_like(status: int) -> int:
    """The exit status for a wait `status`; kills this process if a signal ended the program."""
    number = os.waitstatus_to_exitcode(status)
    if number >= 0:
        return number
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        # SIGKILL's action cannot be set.
        signal.signal(-number, signal.SIG_DFL)
    os.kill(os.getpid(), -number)
    # A signal that does not terminate by default.
    return 128 - number


def _follow(child: int, watched: set[signal.Signals]) -> int:
    while True:
        pid, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
        if pid and os.WIFSTOPPED(status):
            # So that the shell sees a stopped job. SIGCONT reaches both.
            os.kill(os.getpid(), signal.SIGSTOP)
        elif pid:
            return status
        else:
            number = _wait(watched)
            if number is not None:
                os.kill(child, number)


def _wait(watched: set[signal.Signals]) -> int | None:
    """Wait for a signal, and return it if it is to be forwarded.

    Signals from the kernel, for a terminal, reached the whole process group.
    """
    if sys.platform == "darwin":
        # macOS does not tell a signal's sender.
        number = signal.sigwait(watched)
        return number if number in _NEVER_OF_TERMINALS else None
    told = signal.sigwaitinfo(watched)
    return told.si_signo if told.si_signo != signal.SIGCHLD and told.si_code <= 0 else None


def _discard(watched: set[signal.Signals]) -> None:
    """Discard the signals that are still pending, which were for the program."""
    while pending := signal.sigpending() & watched:
        signal.sigwait(pending)
