"""In which box each command of the list ran: as the daemons' own records say."""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from e2e.faithful.world.containers import WORKSPACE
from e2e.faithful.world.ground import Ground

NONE = "off"
"""What a record has of a tool that ran in no box."""

BROKER = "broker"
"""What it has of what the daemon does itself, in no workspace: ssh."""

_WORDS = {NONE: "in no box, where their module says so", BROKER: "by a broker, which needs no box"}


def read_boxes(ground: Ground, daemons: Collection[str]) -> dict[str, dict[str, set[str]]]:
    """Return by daemon, and by entry, what its records call the boxes of its commands.

    That is "bubblewrap" or "landlock" for a closed one, NONE, or BROKER.
    """
    return {each: _by_entry(ground.airlock[each].log, ground.workspaces) for each in daemons}


def _by_entry(log: Path, workspaces: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for record in _ended(log):
        for root in (str(workspaces), WORKSPACE):
            if record["cwd"].startswith(f"{root}/"):
                entry = "/".join(record["cwd"].removeprefix(f"{root}/").split("/")[:2])
                found.setdefault(entry, set()).add(record["sandbox"])
    return found


def _ended(log: Path) -> Iterator[dict[str, str]]:
    with log.open() as lines:
        for line in lines:
            record = json.loads(line)
            if record["event"] == "exec" and record.get("outcome") == "allowed":
                yield record


def describe_boxes(found: Mapping[str, Mapping[str, set[str]]]) -> list[str]:
    """Say how many commands had which box, and which ran outside of boxes alone."""
    boxes: dict[str, set[str]] = {}
    for entries in found.values():
        for entry, kinds in entries.items():
            boxes.setdefault(entry, set()).update(kinds)
    lines = []
    for kind in sorted({kind for kinds in boxes.values() for kind in kinds}):
        having = [entry for entry, kinds in boxes.items() if kind in kinds]
        lines.append(f"{len(having)} commands {_WORDS.get(kind, f'in boxes: {kind}')}")
    alone = sorted(entry for entry, kinds in boxes.items() if kinds == {NONE})
    if alone:
        lines.append(f"{len(alone)} of these in no box at all: {', '.join(alone)}")
    return lines
