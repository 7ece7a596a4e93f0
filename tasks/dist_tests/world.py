"""Installing only from ``dist/``, and running the installed daemon."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from e2e.world.daemon import Daemon

INSTALL = b"""\
set -eu
bin=$1/.local/bin
HOME=$1 PIP_NO_CACHE_DIR=1 PIP_INDEX_URL=http://127.0.0.1:9 \\
  sh "$2/install.sh" --from "$2" --with venv --no-init --no-modify-path >&2
"$(dirname "$(readlink "$bin/airlock-daemon")")/pip" --isolated check
"$bin/airlock-daemon" version
"$bin/airlock-shim" --version
mkdir -p "$1/config" "$1/agent" "$1/work" "$1/links"
printf '[commands]\\nenable = ["git"]\\n[log]\\npath = "%s"\\n' "$1/log" >"$1/config/config.toml"
printf 'commands = ["git"]\\n[workspace]\\nhost = true\\nsame_path = ["%s"]\\n' "$1/work" \\
  >"$1/agent/airlock.toml"
printf '[my]\\npath = "%s"\\n' "$1/agent" >"$1/agents.toml"
"$bin/airlock-shim" --install "$1/links" git
git init --quiet "$1/work"
if [ "$(id -u)" = 0 ]; then
  printf '[sandbox]\\nuser = "nobody"\\n' >>"$1/config/config.toml"
  chmod 711 "$1"
  chown -R nobody "$1/work"
fi
"""
"""For sh: $1 is an empty folder to work in, $2 is ``dist/``. It prints what pip finds broken and
the two versions, and leaves an agent ``my`` and a link ``links/git``."""

CALL = b"""\
cd "$1/work"
AIRLOCK_SOCKET=$1/sockets/my/airlock.sock exec "$1/links/git" rev-parse --is-inside-work-tree
"""
"""For sh: asks git through the shim, which prints true."""


@contextmanager
def serve(folder: str, *, inside: Sequence[str] = ()) -> Iterator[None]:
    """Run the daemon that INSTALL left in ``folder`` until the block ends.

    ``inside`` is a command that runs another one elsewhere, such as ``docker exec``.
    """
    command = [f"{folder}/.local/bin/airlock-daemon", f"--config={folder}/config"]
    command += [f"--sockets={folder}/sockets", f"--agents={folder}/agents.toml", "start"]
    with (
        tempfile.NamedTemporaryFile() as said,
        Daemon([*inside, *command], said=Path(said.name), says="airlock: enabled commands:"),
    ):
        yield
