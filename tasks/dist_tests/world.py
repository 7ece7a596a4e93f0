"""Installing from ``dist/`` alone, and a daemon of what that gives."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

INSTALL = """\
set -eu
python3 -m venv "$1/environment"
bin=$1/environment/bin
"$bin/pip" --isolated --disable-pip-version-check install --quiet --no-cache-dir \\
  --no-index --find-links "$2" --find-links "$2/image/wheels" airlock-daemon airlock-shim
"$bin/pip" --isolated check
"$bin/airlock-daemon" version
"$bin/airlock-shim" --version
mkdir "$1/config" "$1/agent" "$1/work" "$1/links"
printf '[commands]\\nenable = ["git"]\\n[log]\\npath = "%s"\\n' "$1/log" >"$1/config/config.toml"
printf 'commands = ["git"]\\n[workspace]\\nhost = true\\nsame_path = ["%s"]\\n' "$1/work" \\
  >"$1/agent/airlock.toml"
printf '[my]\\npath = "%s"\\n' "$1/agent" >"$1/agents.toml"
"$bin/airlock-shim" --install "$1/links" git
git init --quiet "$1/work"
"""
"""For sh: $1 is an empty folder to work in, $2 is ``dist/``. It prints what pip finds broken and
the two versions, and leaves an agent ``my`` and a link ``links/git``."""

CALL = """\
cd "$1/work"
AIRLOCK_SOCKET=$1/sockets/my/airlock.sock exec "$1/links/git" rev-parse --is-inside-work-tree
"""
"""For sh: asks git through the shim, which prints true."""


def run(command: Sequence[str | Path], *, stdin: str = "") -> str:
    """Run a command that must succeed and return its stdout; what it said is in the failure."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}\n{done.stderr}"
    return done.stdout


@contextmanager
def serve(folder: str, *, inside: Sequence[str] = ()) -> Iterator[None]:
    """Run the daemon that INSTALL left in ``folder`` until the block ends.

    ``inside`` is a command that runs another one elsewhere, such as ``docker exec``.
    """
    command = [f"{folder}/environment/bin/airlock-daemon", f"--config={folder}/config"]
    command += [f"--sockets={folder}/sockets", f"--agents={folder}/agents.toml", "start"]
    with subprocess.Popen([*inside, *command], stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stderr is not None
        try:
            said = []
            for line in daemon.stderr:
                said.append(line)
                if line.startswith("airlock: enabled commands:"):
                    break
            else:
                raise AssertionError("".join(["the daemon ended before it was up:\n", *said]))
            yield
        finally:
            daemon.terminate()
