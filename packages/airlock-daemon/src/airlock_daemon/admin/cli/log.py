"""`airlock log tail`, `stats`, `verify`, `head` and `export`."""

import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from airlock_daemon.admin.cli.application import Application, pass_obj
from airlock_daemon.admin.cli.output import list_rows, printing
from airlock_daemon.admin.log import (
    Collector,
    Follower,
    Item,
    Lines,
    StartedCommands,
    Wanted,
    chain,
    find_recent,
    list_lines,
    open_log,
    read_item,
    show_word,
    statistics,
    to_object,
    witness,
)
from airlock_daemon.errors import AirlockError
from airlock_daemon.serving.audit.record import Line, LogFile

if TYPE_CHECKING:
    from airlock_daemon.setup.generation import LogConfig

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

_HEADINGS = (
    *("AGENT", "COMMAND", "REQUESTS", "ALLOWED", "DENIED", "FAILED", "ABORTED", "INVALID"),
    *("P50 MS", "P95 MS"),
)
# Milliseconds between the turns of `_periods`.
_PERIOD_MS = 200
_COUNTED = ("allowed", "denied", "failed", "aborted", "invalid")
_OUTCOMES = (*_COUNTED, "running", "cut-off")

Repository = Annotated[
    str, typer.Option("--repository", metavar="DIR", help="The repository of that ref.")
]
Agent = Annotated[str | None, typer.Option("--agent", metavar="NAME", help="Only of this agent.")]


@app.callback()
@pass_obj
def _log(application: Application) -> None:
    """Read the audit log, and verify its chain of hashes.

    The log is that of [log] path in config.toml, with the files that rotation has renamed to .1, .2
    and so on. No daemon needs to run.

    What happened, how much, and whether anything was changed:

    \b
        airlock log tail -n 50 --outcome denied
        airlock log stats --since 24h
        airlock log verify

    To find a cut at its end, compare with a head that was stored elsewhere, such as on another
    host:

    \b
        airlock log head | ssh other 'cat >> heads'
        ssh other cat heads | airlock log verify --head -

    or in a git repository that others have a copy of, and that is no agent's workspace:

    \b
        airlock log head --to-git airlock-log && git push origin airlock-log
        git fetch && airlock log verify --from-git origin/airlock-log
    """


def _check_outcome(value: str | None) -> str | None:
    if value not in (None, *_OUTCOMES):
        raise typer.BadParameter(f"'{value}' is none of {', '.join(_OUTCOMES)}")
    return value


def _check_since(value: str | None) -> str | None:
    try:
        return value and statistics.read_moment(value, now=datetime.now().astimezone())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@app.command()
@pass_obj
def tail(
    application: Application,
    count: Annotated[int, typer.Option("-n", "--lines", min=0, help="Number of lines.")] = 10,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print new ones as they come, until Ctrl-C.")
    ] = False,
    agent: Agent = None,
    command: Annotated[
        str | None, typer.Option("--command", metavar="NAME", help="Only of this command.")
    ] = None,
    outcome: Annotated[
        str | None,
        typer.Option(
            "--outcome", metavar="OUTCOME", callback=_check_outcome, help=", ".join(_OUTCOMES)
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer",
            metavar="LAYER",
            help="Only refusals by this layer: profile, module, hook, ...",
        ),
    ] = None,
) -> None:
    """Print the newest requests, one per line.

    A line has the time (UTC), agent, outcome, exit status or layer, duration, and the command. What
    is not a plain word is quoted, since a client may have sent anything. `running` means that the
    command has not ended, `cut-off` that the daemon was killed.

    \b
        airlock log tail --follow --agent my
        airlock log tail -n 100 --command git --outcome denied --layer module

    With --json each line is a record as the log has it, for jq and the like.
    """
    config = _find_log(application)
    wanted = Wanted(agent=agent, command=command, outcome=outcome, layer=layer)
    show = _print_object if application.json else _line_printer()
    with printing(), open_log(config.path) as files:
        for item in find_recent(files, wanted, limit=count):
            show(item)
        if follow:
            begun = StartedCommands(find_recent(files, Wanted(outcome="running")))
            _follow(config.path, files, wanted=wanted, take=begun.read, show=show)


def _follow(
    path: str,
    files: Sequence[LogFile],
    *,
    wanted: Wanted,
    take: Callable[[Line], Iterable[Item]],
    show: Callable[[Item], None],
) -> None:
    """`read` tells what to show after each line."""
    sys.stdout.flush()
    follower = Follower(path, files)
    try:
        for _ in _periods():
            for line in follower.read():
                for item in take(line):
                    if wanted.matches(item):
                        show(item)
    finally:
        follower.close()


@app.command()
@pass_obj
def stats(
    application: Application,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="WHEN",
            callback=_check_since,
            help="A duration (90s, 15m, 24h, 7d, 2w) or a time (2026-01-31T12:00).",
        ),
    ] = None,
    agent: Agent = None,
) -> None:
    """Count requests by agent, command or API, and refusal.

    A record that stands for several requests counts as several. p50 and p95 are the durations in ms
    that half and 95 % of the commands did not exceed, within 1 %.

    \b
        airlock log stats --since 7d --agent my
    """
    config = _find_log(application)
    with printing(), open_log(config.path) as files:
        counted = statistics.count(files, since=since, agent=agent)
        report = {"path": config.path, "since": since, **_dump(counted)}
        application.print(report, _describe_statistics(counted))


@app.command()
@pass_obj
def verify(
    application: Application,
    head: Annotated[
        str | None,
        typer.Option(
            "--head",
            metavar="HASH|FILE",
            help="What `log head` printed: its hash, or a file of its lines; - is stdin.",
        ),
    ] = None,
    from_git: Annotated[
        str | None,
        typer.Option("--from-git", metavar="REF", help="What `log head --to-git` has noted."),
    ] = None,
    repository: Repository = ".",
) -> None:
    """Verify the log, and print where it was changed.

    Each record has a number and the hash of the line before it, across all files, so a line that
    was removed, changed, inserted or moved is found. Only a head that was stored elsewhere (--head,
    --from-git) finds lines that are missing at the end, or a log that was written anew. Files that
    rotation has deleted are no fault.

    \b
        airlock log verify --head heads.txt

    Exits with 0 if the log is whole, else with 1.
    """
    config = _find_log(application)
    heads = () if head is None else chain.load_heads(head)
    if from_git is not None:
        heads += witness.read_noted(ref=from_git, repository=_find(repository, application))
    with printing(), open_log(config.path) as files:
        verified = chain.verify(files, max_files=config.max_files, heads=heads)
        whole = {"path": config.path, "is_whole": verified.is_whole}
        application.print({**whole, **_dump(verified)}, chain.describe(verified))
    if not verified.is_whole:
        raise typer.Exit(1)


@app.command()
@pass_obj
def export(
    application: Application,
    otlp: Annotated[
        str,
        typer.Option("--otlp", metavar="URL", help="Of a collector: http://HOST:4318/v1/logs."),
    ],
    count: Annotated[
        int | None, typer.Option("-n", "--lines", min=0, help="Only the newest.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Send new ones as they come, until Ctrl-C.")
    ] = False,
    agent: Agent = None,
) -> None:
    """Send records to a collector of OpenTelemetry, by OTLP over HTTP.

    Each line of the log is a log record with that line as its body, also those of which `tail`
    shows a later one. Needs airlock-daemon[otlp].
    Headers, certificates and timeouts are those of OpenTelemetry's variables, such as
    OTEL_EXPORTER_OTLP_HEADERS.

    \b
        airlock log export --otlp http://127.0.0.1:4318/v1/logs
        airlock log export --otlp http://127.0.0.1:4318/v1/logs -n 0 --follow
    """
    config = _find_log(application)
    wanted = Wanted(agent=agent)
    with ExitStack() as stack:
        collector = Collector(otlp)
        stack.callback(collector.close)
        files = stack.enter_context(open_log(config.path))
        sent = collector.send(list_lines(files, wanted, limit=count))
        with printing():
            application.print({"sent": sent}, [f"sent {sent} records"])
        if follow:
            _follow(
                *(config.path, files),
                wanted=wanted,
                take=lambda line: (read_item(line),),
                show=lambda item: _send(collector, item),
            )


def _send(collector: Collector, item: Item) -> None:
    collector.send((item,))


@app.command("head")
@pass_obj
def print_head(
    application: Application,
    to_git: Annotated[
        str | None,
        typer.Option("--to-git", metavar="REF", help="Note it in this ref, in a new commit."),
    ] = None,
    repository: Repository = ".",
) -> None:
    """Print the number, hash and time of the newest record.

    Stored where nobody who can write the log can write, it proves later that no record up to this
    one was cut off: airlock log verify --head FILE

    With --to-git it is also added to a ref of a git repository, made if it is not there. Push that
    ref to where nobody who can write the log can move it:

    \b
        airlock log head --to-git airlock-log --repository ~/heads
        git -C ~/heads push origin airlock-log
    """
    config = _find_log(application)
    with printing(), open_log(config.path) as files:
        head = chain.find_head(files)
        if to_git is not None:
            witness.note_head(head, ref=to_git, repository=_find(repository, application))
        application.print(head, [str(head)])


def _find(repository: str, application: Application) -> witness.Repository:
    return witness.Repository(directory=repository, written=application.list_written())


def _find_log(application: Application) -> "LogConfig":
    config = application.load_log_config()
    if config.path == "-":
        raise AirlockError(
            f'the audit log is on stderr: [log] path = "-" in {application.locations.config_file}',
            hint="read it where the daemon's stderr is kept (docker logs, journalctl), or set "
            "[log] path to a file, in a container one on a volume",
        )
    return config


def _line_printer() -> Callable[[Item], None]:
    lines = Lines(is_coloured=_is_coloured())
    return lambda item: print(lines.format(item))


def _print_object(item: Item) -> None:
    sys.stdout.buffer.write(to_object(item) + b"\n")


def _dump(value: object) -> dict[str, object]:
    return dict(msgspec.to_builtins(value))


def _describe_statistics(counted: statistics.Statistics) -> Iterator[str]:
    """The totals, a table of agents and commands, and one of refusals."""
    if counted.requests:
        yield f"{counted.begins} to {counted.ends}"
    sums = ", ".join(f"{counted.outcomes.get(name, 0)} {name}" for name in _COUNTED)
    yield f"requests: {counted.requests} ({sums})"
    yield f"agents: {counted.agents}"
    if counted.running:
        yield f"commands that have begun and not ended: {counted.running}"
    if counted.cut_off:
        yield f"commands that were cut off, with a daemon that was killed: {counted.cut_off}"
    if counted.no_records:
        yield f"lines that are no records: {counted.no_records}, see: airlock log verify"
    if counted.commands:
        rows = [list(map(_cell, msgspec.structs.astuple(row))) for row in counted.commands]
        yield from ("", *list_rows(_HEADINGS, rows))
    if counted.denials:
        denials = [
            (row.layer or "-", _tell_rule(row), str(row.requests)) for row in counted.denials
        ]
        yield from ("", *list_rows(("DENIED BY", "RULE", "REQUESTS"), denials))


def _tell_rule(row: statistics.DenialRow) -> str:
    if row.rule is not None:
        return show_word(row.rule)
    return "-" if row.layer else "not enabled"


def _cell(value: object) -> str:
    if value is None:
        # A client can name a command "-", but not this.
        return "(none)"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _periods() -> Iterator[None]:
    """Yield a few times a second until the pipe's reader is gone; flushes before each wait.

    poll(2) reports that even if nothing is written.
    """
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    while True:
        yield
        sys.stdout.flush()
        if poll.poll(_PERIOD_MS):
            return


def _is_coloured() -> bool:
    """Whether stdout is a terminal that shows colours, and NO_COLOR (no-color.org) is unset."""
    is_dumb = os.environ.get("TERM", "") in ("", "dumb")
    return sys.stdout.isatty() and not is_dumb and not os.environ.get("NO_COLOR")
