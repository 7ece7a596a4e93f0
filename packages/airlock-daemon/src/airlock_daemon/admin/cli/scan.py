"""`airlock scan`."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Annotated

import typer

from airlock_daemon.admin.cli.application import Application, pass_obj
from airlock_daemon.admin.cli.mounted_workspaces import choose_workspaces
from airlock_daemon.admin.cli.output import plain, print_message
from airlock_daemon.admin.cli.wiring import Mount
from airlock_daemon.admin.scan.scanning import Item, Scan, note, read_noted, scan
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.generation import Agent, State

_QUICK_S = 5.0
_MAX_TOLD = 12

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("scan")
@pass_obj
def scan_workspaces(
    application: Application,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="Name of the agent.")],
    workspace: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIR",
            help="Directory to look through; may be repeated.  [default: those of the profile, "
            "else the current one]",
            show_default=False,
        ),
    ] = None,
    only_new: Annotated[bool, typer.Option("--new", help="List only what is new.")] = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="Note what is listed: it is new no more.")
    ] = False,
) -> None:
    """List files in a workspace that your own tools would run.

    The container writes to the workspace, and your git, editor, shell and docker compose obey files
    in it: git settings that run a program, hooks, nested repositories, .envrc, compose files, dev
    containers, editor tasks, settings of coding agents, virtual environments. This lists them file
    by file and line by line, and marks what is new since the agent was registered, or since the
    last --accept. A commit proves nothing: the container can commit, too.

    It runs nothing in the workspace, and obeys no setting of it. It does not list what a tool runs
    only when you tell it to: make, npm run, cargo build and tests run what the project says.

    Exits with 1 if anything is new, or could not be read.
    """
    setup, generation = application.load_agent(agent)
    directory = generation.agent.directory
    scans = [_scan(each.source) for each in choose_workspaces(setup, generation, workspace or ())]
    noted = read_noted(setup.state, agent, directory)
    application.print(
        {"agent": agent, "workspaces": [_dump(each, noted) for each in scans]},
        (line for each in scans for line in _describe(each, noted, only_new=only_new)),
    )
    is_new = any(_count_new(each, noted) for each in scans)
    if accept:
        note(setup.state, agent, directory, scans)
        print_message("noted: what is listed is new no more")
    elif is_new:
        print_message(
            "hint: look at each new line; when all is as you want it: "
            f"airlock scan {agent} --accept"
        )
    if (is_new and not accept) or any(each.missed for each in scans):
        raise typer.Exit(1)


def note_workspaces(state: State, agent: str, directory: str, roots: Iterable[str]) -> None:
    """Note what a new agent's workspaces contain, and print how much that is.

    A failure is printed, and ends nothing.
    """
    try:
        scans = [_scan(root) for root in roots]
        note(state, agent, directory, scans)
        # `agent add` has shown the remotes, which every clone has.
        items = (item for each in scans for item in each.items)
        count = sum(not item.is_order and not item.leads_to_remote for item in items)
        if count:
            # Another agent may have worked there before, or this one before it was removed.
            print_message(
                f"note: lines and files of its workspaces that your own tools obey: {count}; "
                "scan does not call them new",
                f"hint: if an agent has worked there before, look at them: airlock scan {agent}",
            )
    except AirlockError as error:
        print_message(
            f"warning: what its workspaces have is not noted: {error.message}",
            f"hint: then: airlock scan {agent} --accept",
        )


def describe_item(item: Item) -> str:
    """An item as one line, whatever its names and text contain."""
    place = f"{item.path}:{item.line}" if item.line else item.path
    return f"{plain(place)}: {plain(item.text.strip())} ({item.why})"


def watch(state: State, agent: Agent, workspaces: Iterable[Mount]) -> Callable[[], Iterator[str]]:
    """Scan workspaces before a container runs; the returned function lists what is new.

    New is what was not noted of the workspace or, without a note, what is not there now. Scans are
    short. Raises AirlockError if the notes cannot be read.
    """
    noted = read_noted(state, agent.name, agent.directory)
    known = {
        root: noted[root] if root in noted else _list_digests(root)
        for root in dict.fromkeys(each.source for each in workspaces)
    }

    def tell() -> Iterator[str]:
        for root, digests in known.items():
            yield from _tell_new(root, digests, since_start=root not in noted, agent=agent.name)

    return tell


def _list_digests(root: str) -> frozenset[str]:
    with suppress(OSError):
        return frozenset(each.digest for each in scan(root, seconds=_QUICK_S).items)
    return frozenset()


def _tell_new(
    root: str, digests: frozenset[str], *, since_start: bool, agent: str
) -> Iterator[str]:
    try:
        found = scan(root, seconds=_QUICK_S)
    except OSError as error:
        yield f"warning: {root} cannot be looked through: {error.strerror}; mend its permissions"
        return
    new = [item for item, is_new in found.compare(digests) if is_new]
    if new:
        since = "this container was started" if since_start else "it was noted"
        yield f"new in {plain(root)} since {since}, and run or obeyed by your own tools:"
        yield from (f"  {describe_item(item)}" for item in new[:_MAX_TOLD])
        if len(new) > _MAX_TOLD:
            yield f"  and {len(new) - _MAX_TOLD} more"
        yield f"hint: before you work in there: airlock scan {agent} --new"
    if found.missed:
        missed = f"not all of {plain(root)} was looked at: {found.missed}"
        yield f"warning: {missed}; for the rest: airlock scan {agent} --new"


def _scan(root: str) -> Scan:
    try:
        return scan(root)
    except OSError as error:
        raise AirlockError(
            f"{root} cannot be looked through: {error.strerror}",
            hint="mend its permissions, or name another directory with --workspace",
        ) from error


def _count_new(scan: Scan, noted: Mapping[str, frozenset[str]]) -> int:
    return sum(is_new for _, is_new in scan.compare(noted.get(scan.root, frozenset())))


def _describe(scan: Scan, noted: Mapping[str, frozenset[str]], *, only_new: bool) -> Iterator[str]:
    known = noted.get(scan.root)
    compared = scan.compare(known or frozenset())
    count = sum(is_new for _, is_new in compared)
    yield f"{plain(scan.root)}: {count} new, {len(compared) - count} noted"
    if known is None:
        yield "  nothing was noted of this workspace yet, so that everything counts as new"
    for item, is_new in compared:
        if is_new or not only_new:
            yield f"  {'new' if is_new else 'noted'}  {describe_item(item)}"
    if scan.missed:
        yield f"  not everything was looked at: {scan.missed}"


def _dump(scan: Scan, noted: Mapping[str, frozenset[str]]) -> dict[str, object]:
    items = [
        {
            "path": _to_utf8(each.path),
            "line": each.line,
            "text": _to_utf8(each.text),
            "why": each.why,
            "new": is_new,
        }
        for each, is_new in scan.compare(noted.get(scan.root, frozenset()))
    ]
    return {
        "path": scan.root,
        "noted": scan.root in noted,
        "missed": scan.missed or None,
        "items": items,
    }


def _to_utf8(text: str) -> str:
    return os.fsencode(text).decode("utf-8", "backslashreplace")
