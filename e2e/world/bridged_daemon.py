"""A daemon whose clients are all behind bridges: an executable, called as `airlock-daemon` is.

`EXE --config DIR --sockets DIR --agents FILE start` gives each agent `[bridge]`. A command that
plays the engine runs the shim of a bridge's container in `DIR/AGENT`, so that a real bridge is
between the daemon and whoever connects there. The daemon's own sockets are elsewhere.
"""

import os
import sys
import tomllib
from pathlib import Path

from airlock_shim import binary_path

_LABEL = "--label=airlock.bridge="
_ENGINE = f"""#!/bin/sh
for word; do
    case "$word" in {_LABEL}*) agent=${{word#{_LABEL}}} ;; esac
done
case "$1" in
version) uname -m ;;
images) echo there ;;
run) mkdir -p "$BRIDGED/$agent"; exec {binary_path()} --bridge "$BRIDGED/$agent" ;;
esac
"""


def write_bridged_daemon(path: Path, *, python: str = sys.executable) -> str:
    """Write the executable, for a Python that has Airlock's packages; returns its path."""
    root = Path(__file__).resolve().parents[2]
    path.write_text(
        f"#!{python}\n"
        "import sys\n"
        f"sys.path.insert(0, {os.fspath(root)!r})\n"
        f"from {__name__} import main\n"
        "main()\n"
    )
    path.chmod(0o755)
    return os.fspath(path)


def main() -> None:
    """Give all agents a bridge, and become the daemon."""
    arguments = sys.argv[1:]
    given = dict(zip(arguments[:-1:2], arguments[1::2], strict=True))
    sockets = Path(given["--sockets"])
    own = sockets.parent / "own"
    own.mkdir(exist_ok=True)
    program = own / "docker"
    program.write_text(_ENGINE)
    program.chmod(0o755)
    for agent in tomllib.loads(Path(given["--agents"]).read_text()).values():
        profile = Path(agent["path"], "airlock.toml")
        text = profile.read_text()
        if "[bridge]" not in text:
            profile.write_text(f"{text}\n[bridge]\n")
    arguments[arguments.index("--sockets") + 1] = os.fspath(own / "sockets")
    environment = {
        **os.environ,
        "PATH": f"{own}:{os.environ['PATH']}",
        "BRIDGED": os.fspath(sockets),
    }
    os.execve(sys.executable, [sys.executable, "-m", "airlock_daemon", *arguments], environment)
