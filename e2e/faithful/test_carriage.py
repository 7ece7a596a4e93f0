"""That the ways are what they are called: what the daemons themselves noted about each run."""

import json

from e2e.faithful.boxes import BROKER, NONE, read_boxes
from e2e.faithful.runner.ways import UNBOXED, Way
from e2e.faithful.runs import Runs


def test_what_each_daemon_saw(runs: Runs, selected: dict[Way, list[object]]) -> None:
    """The one saw the output of no command that ran to its end, the other that of all of them.

    But for ssh: what a broker's program says on its stderr goes through the daemon in any case.
    """
    for daemon in _daemons(selected):
        lines = runs.world.ground.airlock[daemon].log.read_text().splitlines()
        records = [json.loads(line) for line in lines]
        ended = [
            record
            for record in records
            if record["event"] == "exec" and record.get("outcome") == "allowed"
        ]
        assert ended
        seen = [record for record in ended if record["bytes_out"] is not None]
        if daemon.endswith("streamed"):
            assert seen == ended
        else:
            assert {record["command"] for record in seen} <= {"ssh"}


def test_in_which_box_each_command_was(runs: Runs, selected: dict[Way, list[object]]) -> None:
    """With two of the daemons each command was in a box, or a broker's; with the others in none."""
    for daemon, entries in read_boxes(runs.world.ground, _daemons(selected)).items():
        assert entries
        outside = {entry for entry, boxes in entries.items() if NONE in boxes}
        boxed = {entry for entry, boxes in entries.items() if boxes - {NONE, BROKER}}
        assert not (boxed if daemon.startswith(UNBOXED) else outside), daemon


def _daemons(selected: dict[Way, list[object]]) -> set[str]:
    return {way.daemon for way in selected if way.place == "host"} - {"direct"}
