"""Negative controls: a proxy that loses something is told from the direct run.

Each of these proxies is a line of shell around the real command, with one fault that proxies of
this kind are known to have.
"""

from pathlib import Path

import pytest

from e2e.faithful.runner.entry import Content, Entry, Screen, Step
from e2e.faithful.runner.perform import perform
from e2e.faithful.runner.result import differences

_SCRIPT = "read -r line; echo \"got $line\"; echo err >&2; printf '\\377\\376'; exit 7"
_WHOLE = Entry(id="whole", run=("sh", "-c", _SCRIPT), stdin=Content(text="one\n"))
_TERMINAL = Entry(
    id="terminal",
    run=("sh", "-c", "printf 'name: '; read -r name; echo \"hello $name\""),
    screen=Screen(),
    talk=(Step(expect="name: ", send="x\n"),),
)
_ASKS = Entry(id="asks", run=("sh", "-c", "test -t 1 && echo terminal"), screen=Screen())
_KILLED = Entry(id="killed", run=("sh", "-c", "kill -KILL $$"))
_FILE = Entry(
    id="file", run=("sh", "-c", "read -r line"), stdin=Content(text="one\ntwo\n", via="file")
)
_WRITER = Entry(id="writer", run=("sh", "-c", "echo content >made"))

FAULTS = {
    "loses-standard-input": (_WHOLE, '"$@" </dev/null'),
    "merges-the-streams": (_WHOLE, '"$@" 2>&1'),
    "loses-the-status": (_WHOLE, '"$@"; exit 0'),
    "loses-bytes-that-are-not-utf-8": (_WHOLE, '"$@" | iconv -c -f UTF-8 -t UTF-8; exit 7'),
    "adds-a-newline": (_WHOLE, '"$@"; status=$?; echo; exit $status'),
    "has-no-terminal": (_ASKS, '"$@" | cat'),
    "leaves-the-terminal-changed": (_TERMINAL, '"$@"; stty -echo'),
    "shows-a-signal-as-1": (_KILLED, '"$@" || exit 1'),
    "reads-the-file-too-far": (_FILE, 'cat | "$@"'),
    "runs-it-elsewhere": (_WRITER, 'cd /dev/shm && "$@"; rm -f made'),
}


@pytest.mark.parametrize(("entry", "fault"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_noticed(entry: Entry, fault: str, tmp_path: Path) -> None:
    """A run through a proxy with this fault differs from the direct run, which equals itself."""
    results = []
    for name, around in (("first", '"$@"'), ("again", '"$@"'), ("faulty", fault)):
        folder = tmp_path / name
        folder.mkdir()
        argv = [b"sh", b"-c", around.encode(), b"sh", *entry.argv({"sh": ("sh",)})]
        results.append(
            perform(entry, argv, cwd=folder, env={"PATH": "/usr/bin:/bin"}, patience=30.0)
        )
    direct, again, faulty = results
    assert differences(direct, again) == []
    assert differences(direct, faulty) != []
