"""``./dev trusted``: the code that has to be read to believe what Airlock promises, counted.

A real daemon serves a real push, and a request of each other kind that is granted. Its loaded
modules are counted by floor, with the native launcher; moving code between files changes nothing.
"""

import argparse
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from tasks.environment import prepare_environment
from tasks.errors import TaskError
from tasks.places import ROOT

GRANTS = ("git", "ssh", "sign", "https", "docker")

_LAUNCHER = ROOT / "packages" / "airlock-daemon" / "native" / "main.zig"
_IMPORT = re.compile(r'@import\("([^"]+\.zig)"\)')
_PATIENCE_S = 30.0
_TICK_S = 0.01

_FLOORS = ("admin", "serving", "boundary", "setup", "platform")

_COMMANDS = {
    "git": "git-remote",
    "ssh": "ssh",
    "sign": "git-sign",
    "https": "gh",
    "docker": "docker",
}

_CALLS = {
    "ssh": ("ssh", "localhost", "true"),
    "sign": ("git-sign",),
    "docker": ("docker", "version"),
}

_API = """\
[[api]]
hosts = ["localhost"]
ports = [{port}]
ca = "{authority}"
allow = ["GET /ok/**"]

[api.credential]
as = "header"
file = "{token}"
placeholder = "ghp_{{36}}"

[client]
env = {{ GH_TOKEN = "{{placeholder}}" }}
"""

_REQUEST = "GET /ok/a HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer PLACEHOLDER\r\n\r\n"

# The parent of the broker's workers imports what they need before it forks the first.
_BROKER = """\
import sys, airlock_daemon.boundary.brokers.https.worker
print(*(m.__file__ for n, m in sys.modules.items() if n.startswith("airlock_")), sep="\\n")
"""


def run_trusted(arguments: Sequence[str]) -> int:
    """Count as the arguments say; return the exit status, 1 above a budget."""
    environment = prepare_environment("default")
    return environment.run([environment.python, "-m", "tasks.trusted", *arguments])


def name_floor(path: str) -> str:
    """Return the floor of a daemon's file, or the name of another package, by its path."""
    package, _, rest = path.rpartition("/src/")[2].partition("/")
    if package != "airlock_daemon":
        return package
    floor, below, _ = rest.partition("/")
    return floor if below else "platform"


def count_lines(files: Iterable[str]) -> Counter[str]:
    """Return the lines of the files by floor, and of the native launcher."""
    lines = Counter[str]()
    for path in files:
        lines[name_floor(path)] += len(Path(path).read_text().splitlines())
    for source in find_sources(_LAUNCHER):
        lines["launcher"] += len(source.read_text().splitlines())
    return lines


def find_sources(program: Path) -> set[Path]:
    """Return the source files of which a Zig program is compiled, its own among them."""
    found, left = set[Path](), [program]
    while left:
        source = left.pop()
        if source not in found:
            found.add(source)
            names = _IMPORT.findall(source.read_text())
            left += [(source.parent / name).resolve() for name in names]
    return found


def read_budgets() -> Mapping[str, int]:
    """Return the maximum lines by grant, from pyproject.toml."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    budgets: dict[str, int] = settings["tool"]["airlock"]["trusted"]
    return budgets


def find_loaded(grants: Sequence[str]) -> set[str]:
    """Return the files of Airlock that serve a push, and a request for each other grant.

    Raises TaskError if the daemon does not do what is granted.
    """
    # Other tasks do not need the demo and the attacks.
    from demo.client import ProcessClient, install_shim, run_command  # noqa: PLC0415
    from demo.git_server import serve_git  # noqa: PLC0415
    from demo.host import keep_credential, run_daemon  # noqa: PLC0415
    from demo.places import AGENT, Places, build_variables, make_commit  # noqa: PLC0415
    from e2e.canary.apis.scene import ApiScene  # noqa: PLC0415
    from e2e.canary.apis.service import serving  # noqa: PLC0415
    from e2e.world.account import BOX_USER  # noqa: PLC0415

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="airlock-"))).resolve()
        places = Places(folder)
        shim = Path(sys.executable).with_name("airlock-shim")
        login = {"user": "agent", "password": secrets.token_urlsafe(24)}
        server = stack.enter_context(serve_git(places.server, **login))
        keep_credential(places, url=server.url, **login)
        commit = make_commit(places, url=server.url)
        install_shim(places, program=shim)
        service = stack.enter_context(serving(folder / "service.pem"))
        token = folder / "token"
        token.touch(0o600)
        token.write_text("ghp_" + "Trusted0" * 4 + "four\n")
        api = _API.format(port=service.port, authority=service.authority, token=token)
        commands = [_COMMANDS[grant] for grant in grants]
        boxes = f'\n[sandbox]\nuser = "{BOX_USER}"\n' if os.geteuid() == 0 else ""
        hosts = '[ssh]\nhosts = ["localhost"]\n' if "ssh" in grants else ""
        places.airlock.enable(commands, more=boxes)
        places.airlock.add_agent(
            AGENT,
            profile=f'commands = {commands}\n[git]\npush = ["{server.url}"]\n{hosts}'
            f'[workspace]\nmounts = {{ "{places.workspace}" = "{places.workspace}" }}\n',
            modules={"gh": api} if "https" in grants else {},
        )
        note, program = folder / "loaded", folder / "airlock-daemon"
        wrapped = Path(__file__).with_name("trusted_daemon.py")
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -P {wrapped} {note} "$@"\n')
        program.chmod(0o755)
        loaded = set[str]()
        with run_daemon(places, program=program, extra={}):
            pushed = ProcessClient(places).git("push", "origin", "main:agent/trusted")
            if server.read_branch("agent/trusted") != commit:
                raise TaskError(f"the push has not reached its server:\n{pushed.output}")
            environment = build_variables(places.client_home) | {
                "AIRLOCK_SOCKET": str(places.socket)
            }
            # Their exit status depends on a server, a key or an engine, so it is ignored.
            for grant, words in _CALLS.items():
                if grant in grants:
                    link = places.client_programs / words[0]
                    link.symlink_to(shim)
                    run_command([str(link), *words[1:]], environment, cwd=places.workspace)
            if "https" in grants:
                scene = ApiScene(places.airlock, {AGENT: service})
                _wait_for(scene.published(AGENT) / "ca-bundle.pem")
                asks = (
                    "GET /ok/a HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer PLACEHOLDER\r\n\r\n"
                )
                if not scene.say(asks, agent=AGENT).startswith(b"200"):
                    raise TaskError("the HTTPS broker has not carried the request of the API")
                broker = [sys.executable, "-I", "-c", _BROKER]
                loaded.update(subprocess.check_output(broker, text=True).split())
        loaded.update(note.read_text().splitlines())
    return loaded


def _wait_for(path: Path) -> None:
    until = time.monotonic() + _PATIENCE_S
    while not path.exists():
        if time.monotonic() > until:
            raise TaskError(f"the daemon does not publish {path.name}")
        time.sleep(_TICK_S)


def main(arguments: Sequence[str]) -> int:
    """Print the lines by floor, and by file if requested; return the exit status."""
    parser = argparse.ArgumentParser(prog="./dev trusted", description=__doc__)
    choices = (*GRANTS, "all")
    parser.add_argument("--grant", choices=choices, default="git", help="beside git (default: git)")
    parser.add_argument("--files", action="store_true", help="each file with its lines")
    options = parser.parse_args(arguments)
    grants = GRANTS if options.grant == "all" else tuple(dict.fromkeys(("git", options.grant)))
    try:
        files = find_loaded(grants)
    except TaskError as error:
        print(f"./dev trusted: {error}", file=sys.stderr)
        return 1
    if options.files:
        for path in sorted(files):
            print(f"{len(Path(path).read_text().splitlines()):7,}  {path.rpartition('/src/')[2]}")
    lines = count_lines(files)
    for floor in (*_FLOORS, "airlock_modules", "airlock_wire", "airlock_shim", "launcher"):
        print(f"{lines[floor]:7,}  {floor}")
    budget = read_budgets()[options.grant]
    print(f"{lines.total():7,}  in {len(files)} files and the launcher; budget {budget:,}")
    return int(lines.total() > budget)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
