"""`airlock agent add`, `agent list`, `agent remove` and `agent trust`."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated

import msgspec
import typer

from airlock_daemon.admin.cli.api_access import choose_network, prepare_access
from airlock_daemon.admin.cli.application import Application, Registration, pass_obj
from airlock_daemon.admin.cli.carried_files import carry_files
from airlock_daemon.admin.cli.changing import changing
from airlock_daemon.admin.cli.image import find_engine
from airlock_daemon.admin.cli.machine import User, find_home, prepare_machine
from airlock_daemon.admin.cli.new_agent import NewAgent, Trust, plan_agent, plan_removal, plan_trust
from airlock_daemon.admin.cli.next_steps import (
    Form,
    NextSteps,
    choose_login,
    choose_run,
    choose_start,
)
from airlock_daemon.admin.cli.output import (
    ignoring_closed_stdout,
    list_rows,
    print_message,
    print_messages,
)
from airlock_daemon.admin.cli.reload import dump_reload, print_faults, try_reload
from airlock_daemon.admin.cli.scan import note_workspaces
from airlock_daemon.admin.cli.wiring import Mount, Wiring, find_volume, list_replaceable, list_shims
from airlock_daemon.admin.listening import is_served
from airlock_daemon.admin.scan.scanning import forget
from airlock_daemon.admin.service.manager import Program, find_manager, start_installed
from airlock_daemon.errors import AirlockError, SetupError
from airlock_daemon.path_text import absolute
from airlock_daemon.platform.system import find_missing
from airlock_daemon.setup.checking import Checked
from airlock_daemon.setup.generation import (
    Config,
    Generation,
    Noted,
    Programs,
    Setup,
    State,
    read_registration,
)
from airlock_daemon.setup.shim_program import find_shim
from airlock_daemon.setup.status import Reload
from airlock_modules import DEFAULT_REFS, GIT_REMOTE

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the agent.")]
Yes = Annotated[bool, typer.Option("--yes", help="Make the changes without asking.")]


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """An agent in the output of `list`."""

    name: str
    commands: list[str]
    served: bool
    path: str


@app.callback()
@pass_obj
def _agent(application: Application) -> None:
    """Add, list and remove agents, and trust a replaced workspace."""


@app.command("add")
@pass_obj
def add_agent(
    application: Application,
    name: Name,
    workspace: Annotated[
        list[str] | None,
        typer.Option(metavar="DIR", help="Directory that its container mounts; may be repeated."),
    ] = None,
    command: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COMMAND",
            help="Command that it may run; may be repeated.  [default: git-remote]",
            show_default=False,
        ),
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Its directory.  [default: agents/NAME beside config.toml]",
            show_default=False,
        ),
    ] = None,
    refs: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="What its pushes may create or move, such as refs/heads/team/**; may be repeated. "
            f" [default: {', '.join(DEFAULT_REFS)}]",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        Form,
        typer.Option(
            "--print",
            help="How its container is to be started: by the `run` of this program, or by lines "
            "for something else. Of an agent that is registered it prints these alone on stdout.",
        ),
    ] = Form.RUN,
    yes: Yes = False,
) -> None:
    """Register an agent, and print what to type next.

    Creates its directory with a commented airlock.toml, adds it to the registration, and enables
    its commands in config.toml, which is created if it is missing. It shows all that first, and
    asks. Then it checks the files, and undoes everything if they have faults. A running daemon
    reloads, and the service of `init` is started. The last lines are the command that starts the
    daemon, if there is no service, and the one that starts a container of the agent.

    [git] gets the remotes of the workspaces, --refs, and the default branches of these remotes,
    which stay protected unless --refs names them, as main and master do where a pattern of --refs
    matches them. For a workspace that is a linked worktree of git, the common directory of its
    repository becomes a workspace too.

    The registration is that of --agents, else that of the running daemon, else agents.toml beside
    config.toml. Workspaces are written to [workspace] same_path; where the daemon can ask the
    kernel and Docker, it finds the mounts of a container without that.
    """
    # New files beside those of an earlier release would hide them.
    application.refuse_earlier()
    registration = application.find_registration()
    file = registration.path or application.locations.registration_file
    locations = msgspec.structs.replace(application.locations, agents=file)
    if (
        form is not Form.RUN
        and not (workspace or command or path or refs)
        and _is_registered(name, file)
    ):
        _print_container(application, name, form)
        return
    named = tuple(map(absolute, workspace or ()))
    new = NewAgent(
        name=name,
        directory=absolute(path or os.path.join(locations.config_dir, "agents", name)),
        commands=tuple(dict.fromkeys(command or (GIT_REMOTE,))),
        workspaces=tuple(dict.fromkeys(map(os.path.realpath, named))),
        named=named,
        refs=tuple(dict.fromkeys(refs or DEFAULT_REFS)),
    )
    show = partial(_show, application)
    with changing(
        lambda: plan_agent(new, locations, file),
        directories=(locations.config_dir, os.path.dirname(file)),
        yes=yes,
        show=show,
    ) as plan:
        state = Config.locate_state(locations)
        _note(state, new.directory, plan.noted)
        checked = Checked.of(locations, only=name)
        if checked.faults:
            print_message("nothing was changed, since the files would have these faults:")
            raise SetupError(checked.faults)
        setup = Setup.load(locations)
        generation = setup.generations[name]
    note_workspaces(state, name, new.directory, plan.workspaces)
    steps = NextSteps(
        directory=new.directory,
        start=choose_start(application, file),
        run=choose_run(application, name),
        reload=_reload(application, registration),
        has_other=registration.has_daemon and not registration.is_served,
        is_started=not registration.has_daemon and _start_service(file),
        wiring=_wire(
            setup, generation, [Mount(source=each, target=each) for each in plan.workspaces]
        ),
        logins=_list_logins(application, setup, generation),
    )
    report = {
        "name": name,
        "path": new.directory,
        "registration": file,
        "enabled": plan.enabled,
        "findings": checked.findings,
        "notes": checked.notes,
    }
    with ignoring_closed_stdout():
        registered = f"agent {name} is registered in {file}"
        told = (*checked.describe(locations.config_dir), *steps.describe(form))
        application.print(report | steps.dump(), (registered, *told))
    _end_by(steps.reload)


@app.command("list")
@pass_obj
def list_agents(application: Application) -> None:
    """List the registered agents, and whether the running daemon serves them.

    Prints a table on a terminal, else lines with tabs between name, commands, yes or no, and path.
    For an agent that cannot be served because of its workspaces, the reason is on stderr.
    """
    setup = application.load_setup()
    agents = [
        Listed(
            name=agent.name,
            commands=agent.profile.granted(setup.config.ceiling),
            served=is_served(os.path.join(setup.locations.sockets_dir, f"{agent.name}.sock")),
            path=agent.directory,
        )
        for agent in setup.agents
    ]
    print_messages(setup.describe_unserved())
    rows = [(a.name, ",".join(a.commands), "yes" if a.served else "no", a.path) for a in agents]
    application.print(agents, list_rows(("NAME", "COMMANDS", "SERVED", "PATH"), rows))


@app.command("remove")
@pass_obj
def remove_agent(application: Application, name: Name, yes: Yes = False) -> None:
    """Remove an agent from the registration.

    Removes its entry, and its directory if that contains nothing but the airlock.toml of `agent
    add`. It shows that first, and asks. Commands stay enabled in config.toml. Workspaces stay, and
    so does the home of its containers, whose path is printed. A running daemon reloads: running
    commands finish, and no new one starts. What the agent has made at a docker engine is removed.
    Credentials that were stored for this agent alone are deleted, with the keys of its containers'
    certificates and placeholders.
    """
    registration = application.find_registration()
    file = registration.path
    if file is None:
        raise AirlockError("there is no registration file", hint="name one with --agents")
    generation = _find_generation(application, name)
    with changing(
        lambda: plan_removal(name, file),
        directories=(os.path.dirname(file),),
        yes=yes,
        show=partial(_show, application),
    ) as removal:
        state = Config.locate_state(application.locations)
        left = read_registration(file, faults=[]).values()
        if removal.directory not in left:
            _note(state, removal.directory, {})
    forget(state, name)
    reload = _reload(application, registration)
    if reload is None and generation is not None and generation.docker is not None:
        # A daemon that serves the agent does it.
        _remove_made(generation, state)
    elif reload is None and state.find(state.name_images(name)) is not None:
        from airlock_modules.engine import LABEL  # noqa: PLC0415 - few agents have docker

        print_message(
            f"what agent {name} has made at a docker engine stays, as its files do not grant "
            f"docker now: docker ps -a --filter label={LABEL}={name}"
        )
    # Last: a daemon that still serves the agent would make them again.
    state.secrets.forget_agent(name)
    volumes = state.bridges
    # Another agent of this name must not be behind the sockets that its containers mount.
    if (volume := volumes.find(name)) is not None:
        volumes.release(volume)
    if os.path.isdir(homes := state.homes(name)):
        # Imports trio, which no other step here needs.
        from airlock_daemon.boundary.workspace.temporary import remove_tree  # noqa: PLC0415

        remove_tree(homes)
    home = find_home(application.locations, name)
    report = {
        "name": name,
        "home": home,
        "registration": file,
        "removed": [] if removal.kept else [removal.directory],
        "kept": removal.kept,
        "reload": None if reload is None else dump_reload(reload),
    }
    lines = [f"agent {name} is not registered any more"]
    if home is not None:
        lines.append(f"the home of its containers is still there: {home}")
    application.print(report, [*lines, *_describe_reload(reload)])
    _end_by(reload)


def _find_generation(application: Application, name: str) -> Generation | None:
    """What the files grant to an agent, None if they have faults."""
    try:
        return application.load_setup().generations.get(name)
    except AirlockError:
        return None


def _remove_made(generation: Generation, state: State) -> None:
    """Remove what an agent has made at a docker engine, and say what stays."""
    import trio  # noqa: PLC0415 - few agents have docker

    from airlock_daemon.boundary.brokers.docker.departure import remove_made  # noqa: PLC0415

    if problem := trio.run(remove_made, generation, os.environ, state):
        print_message(problem)


@app.command("trust")
@pass_obj
def trust_agent(application: Application, name: Name, yes: Yes = False) -> None:
    """Accept that a workspace of an agent is another directory now.

    Registration records the identity of each workspace, and an agent whose workspace was replaced
    is not served. This shows the recorded directory and the present one, asks, and records the
    present one. A running daemon reloads.

    First find out who replaced it: an agent that can write above another one's workspace could have
    put any directory there.
    """
    registration = application.find_registration()
    if registration.path is None:
        raise AirlockError("there is no registration file", hint="name one with --agents")
    locations = msgspec.structs.replace(application.locations, agents=registration.path)

    def work_out() -> Trust:
        setup = Setup.load(locations)
        agent = next((each for each in setup.agents if each.name == name), None)
        if agent is None:
            raise AirlockError(
                f"no agent {name} is registered in {locations.agents}",
                hint="see: airlock agent list",
            )
        return plan_trust(agent, setup.state, setup.noted.get(agent.directory, {}))

    with changing(
        work_out,
        directories=(),
        yes=yes,
        show=partial(_show, application),
    ) as plan:
        pass
    reload = _reload(application, registration)
    told = None if reload is None else dump_reload(reload)
    application.print(
        {"name": name, "workspaces": plan.notes, "reload": told}, _describe_reload(reload)
    )
    _end_by(reload)


def _note(state: State, directory: str, notes: Mapping[str, Noted]) -> None:
    """Note the workspaces of the agent of `directory`; warn if that fails."""
    try:
        state.replace_notes(directory, notes)
    except AirlockError as error:
        print_message(
            f"warning: its workspaces are not noted: {error.message}", f"hint: {error.hint}"
        )


def _is_registered(name: str, registration: str) -> bool:
    return os.path.exists(registration) and name in read_registration(registration, faults=[])


def _print_container(application: Application, name: str, form: Form) -> None:
    """Print how to start a registered agent's container."""
    setup, generation = application.load_agent(name)
    profile = generation.agent.profile
    mapped = (*profile.same_path, *profile.mounts)
    steps = NextSteps(
        directory=generation.agent.directory,
        start=choose_start(application, setup.locations.agents or ""),
        run=choose_run(application, name),
        reload=None,
        has_other=False,
        is_started=False,
        wiring=_wire(
            setup, generation, [Mount(source=each.source, target=each.target) for each in mapped]
        ),
        logins=_list_logins(application, setup, generation),
    )
    _tell(steps.introduce(form))
    # By itself, so that it can be redirected to its file.
    application.print({"name": name} | steps.dump(), steps.write_container(form).splitlines())
    _tell(steps.conclude(form))


def _tell(lines: Iterable[str]) -> None:
    print_messages(line.strip() for line in lines if line)


def _wire(setup: Setup, generation: Generation, workspaces: Sequence[Mount]) -> Wiring:
    locations, agent, apis = setup.locations, generation.agent, generation.apis
    shims = list_shims(agent, setup.config.ceiling)
    written = (*generation.workspaces, *(mount.source for mount in workspaces))
    volume = find_volume(setup, agent)
    user, path = User.find(), Programs.of(None, workspaces=written, warnings=[]).path
    name, program = "", ""
    if volume is not None:
        name, program = volume.name, find_engine(volume.engine, written)
    wiring = Wiring(
        sockets=os.path.join(locations.sockets_dir, agent.name),
        shim=find_lasting_shim(path),
        volume=name,
        commands=shims,
        replaceable=list_replaceable(agent, shims),
        workspaces=tuple(workspaces),
        machine=prepare_machine(
            locations,
            agent.name,
            user=user,
            search_path=path,
        ),
        access=prepare_access(locations, setup.state, agent.name, apis, volume=name),
        networks=choose_network((), apis),
        exec_options=() if apis else None,
    )
    return carry_files(wiring, volume, user=user, search_path=path, program=program)


def find_lasting_shim(search_path: str | None = None) -> str | None:
    """A path of this machine's shim that survives upgrades of Airlock, if there is one.

    It is beside the called command; otherwise the result of `find_shim`, or None.
    """
    beside = os.path.join(os.path.dirname(Program.find_self()[0]), "airlock-shim")
    if os.access(beside, os.X_OK):
        return beside
    try:
        return find_shim(search_path=search_path)
    except AirlockError:
        return None


def _list_logins(
    application: Application, setup: Setup, generation: Generation
) -> tuple[tuple[str, ...], ...]:
    """The words of each `login` that would store a credential that the agent lacks."""
    apis, agent = generation.apis, generation.agent.name
    # Without a placeholder in the container, the tool sends no credential.
    used = {each for names, client in apis.clients if client.has_placeholder for each in names}
    held = (api.credential for api in apis.apis if api.name in used)
    names = dict.fromkeys(
        each.source.words[0] for each in held if each and each.source.kind == "stored"
    )
    secrets = setup.state.secrets
    return tuple(
        choose_login(application, each) for each in names if secrets.find(each, agent) is None
    )


def _reload(application: Application, registration: Registration) -> Reload | None:
    """Have the daemon reload if it serves the registration."""
    return try_reload(application.locations) if registration.is_served else None


def _start_service(registration: str) -> bool:
    """Start the service if it is installed for this registration; print what prevents it."""
    try:
        return not find_missing() and start_installed(find_manager(), registration)
    except AirlockError as error:
        print_message(error.message, f"hint: {error.hint}")
        return False


def _describe_reload(reload: Reload | None) -> Iterator[str]:
    if reload is not None and not reload.faults:
        yield "the running daemon has reloaded"


def _end_by(reload: Reload | None) -> None:
    """Exit with 1 if the files were changed but the daemon could not reload them."""
    if reload is not None and reload.faults:
        print_faults(reload)
        raise typer.Exit(1)


def _show(application: Application, lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line, err=application.json)
