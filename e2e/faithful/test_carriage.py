"""That the ways are what they are called: what the daemons themselves noted about each run."""

import json

from e2e.faithful.runner.ways import Way
from e2e.faithful.runs import Runs


def test_what_each_daemon_saw(runs: Runs, selected: dict[Way, list[object]]) -> None:
    """The one saw the output of no command that ran to its end, the other that of all of them.

    But for ssh: what a broker's program says on its stderr goes through the daemon in any case.
    """
    for carriage in {way.carriage for way in selected if way.place == "host"} - {"direct"}:
        lines = runs.world.ground.airlock[carriage].log.read_text().splitlines()
        records = [json.loads(line) for line in lines]
        ended = [
            record
            for record in records
            if record["event"] == "exec" and record.get("outcome") == "allowed"
        ]
        assert ended
        seen = [record for record in ended if record["bytes_out"] is not None]
        if carriage == "streamed":
            assert seen == ended
        else:
            assert {record["command"] for record in seen} <= {"ssh"}
