"""A daemon with a broker of this host's docker engine, and what attacks got by it."""

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from e2e.canary.attack import Attack
from e2e.canary.run import Result, check_log
from e2e.world.client import Client
from e2e.world.daemon import Daemon
from e2e.world.engine import docker, find_engine
from e2e.world.errors import PATIENCE_S, BrokenError
from e2e.world.installation import Installation, quote
from e2e.world.lines import make_request

_UNGUARDED = Path(__file__).with_name("unguarded.py")
_CANARY = "canary-7b1f-of-the-"
_ANSWER_S = 30.0
_TICK_S = 0.05
_SOCKET = "/var/run/docker.sock"
# Of this process, so that nobody else takes away what is called so.
_OWN = f"airlock-canary-{os.getpid()}"
MINE, _OTHER = f"mine-{os.getpid()}", f"other-{os.getpid()}"
"""The agent that attacks, and another one."""
_BRIDGED = f"bridged-{os.getpid()}"
"""An agent behind a bridge."""
_INSTALLATION, _TWINS = "0a0b0c0d", "1a1b1c1d"
"""The ids of the daemon's installation and of another one, whose agents have the same names."""
# By prefix or by labels alone nothing is the agent's.
_CONTAINERS = {
    "PERSON": (f"{_OWN}-person", MINE, _INSTALLATION),
    # None of the names that agents' objects have can be granted.
    "SEEN": (f"canary-{os.getpid()}-seen", "", ""),
    "NAMED": (f"airlock-{MINE}-{_INSTALLATION}-person", "", ""),
    "OTHER": (f"airlock-{_OTHER}-{_INSTALLATION}-web", _OTHER, _INSTALLATION),
    "TWIN": (f"airlock-{MINE}-{_TWINS}-web", MINE, _TWINS),
}
_OTHERS = ("NET", "VOLUME", "IMAGE", "SECRET-IMAGE", "BUILDER")
_NEED_BRIDGE = (None, "engine-owned", "engine-bridge", "engine-claims")
"""The guards without which a bridge is attacked; None is for all that are on."""
_PROGRAMS = ("sh", "cat", "httpd", "sleep", "id", "ls", "ip", "sed", "wget")
_PROFILE = """\
commands = ["docker"]
[workspace]
host = true
mounts = {{ "/work" = {workspace} }}
[docker]
images = [{image}]
read = [{read}]
network = "isolated"
builder = {builder}
"""
_BRIDGED_PROFILE = """\
commands = ["look"]
[bridge]
[workspace]
host = true
mounts = {{ "/work" = {workspace} }}
"""
# It shows the file of this name in the directory where it runs.
_LOOK = '[command]\nbin = "/bin/cat"\n[deny]\nargs = []\n[sandbox]\nbox = "none"\n'
# What the configuration of an agent's container may have, of what gives it something of the host.
_PLAIN = {
    "Privileged": (False,),
    "PidMode": ("",),
    "UTSMode": ("",),
    "UsernsMode": ("",),
    "IpcMode": ("private", "none", "shareable"),
    "CgroupnsMode": ("private",),
    "CgroupParent": ("",),
    "Runtime": ("runc",),
    "VolumesFrom": (None, []),
    "VolumeDriver": ("",),
    "Devices": (None, []),
    "DeviceRequests": (None, []),
    "DeviceCgroupRules": (None, []),
    "Sysctls": (None, {}),
    "Links": (None, []),
    "OomKillDisable": (False, None),
    "SecurityOpt": (["no-new-privileges"],),
    "PortBindings": (None, {}),
    "PublishAllPorts": (False,),
}


class EngineScene:
    """The agents MINE, who attacks, and another one, before an engine with things of a person's.

    In requests `PERSON`, `SEEN` and `OTHER` are names of containers: a person's, a person's that
    MINE may look at, and one of the other agent; `TWIN` is that of an agent of another
    installation which is called as MINE. `PERSON-ID` and so on are their ids. `NET`,
    `VOLUME` and `SECRET-IMAGE` are a person's too; `IMAGE` is granted, and `PLANTED` is a name that
    a person may run. `BUILDER` is the image of the agents' builder, with a file for root alone, and
    `SERVICE` the port of a service that listens on all addresses of the host. `BRIDGE-ID` and
    `BRIDGE-VOLUME` are the bridge of an agent of its own, if it was awaited.
    """

    def __init__(self, places: Installation, root: Path) -> None:
        self.places = places
        self.root = root
        self.workspace = root / "workspace"
        found = find_engine()
        if isinstance(found, str):
            raise BrokenError(found)
        self._engine = found.host.removeprefix("unix://")
        self._words: dict[str, str] = {}
        self._before: dict[str, object] = {}
        self._process: subprocess.Popen[bytes] | None = None
        # What the client has sent since the last look at leaks.
        self._said = b""

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Plant what belongs to a person and to the other agent, and remove it afterwards."""
        try:
            self._plant()
            self._before = self._describe()
            yield
        finally:
            if self._process is not None:
                self._process.kill()
                self._process.wait()
            if self._before:
                self.clear()
            words = {each: self._words.get(each, each) for each in (*_CONTAINERS, *_OTHERS)}
            docker("rm", "--force", "--volumes", *(words[each] for each in _CONTAINERS))
            docker("network", "rm", words["NET"])
            docker("volume", "rm", "--force", words["VOLUME"], f"{words['VOLUME']}-spare")
            docker("rmi", "--force", words["IMAGE"], words["SECRET-IMAGE"], words["BUILDER"])

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve a secret on all addresses of the host."""

        class Service(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.wfile.write(f"HTTP/1.0 200 OK\r\n\r\n{_CANARY}service".encode())

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("", 0), Service) as server:
            self._words["SERVICE"] = str(server.server_port)
            thread = Thread(target=server.serve_forever)
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()

    def _plant(self) -> None:
        self._words |= {"SECRET-IMAGE": f"{_OWN}-secret", "IMAGE": f"{_OWN}-shell"}
        self._words |= {"PLANTED": f"{_OWN}-planted", "BUILDER": f"{_OWN}-builder"}
        changes = ("USER 1000", 'ENTRYPOINT ["sh", "-c", "exec sleep 600"]')
        self._import(self._words["BUILDER"], f"{_CANARY}builder", *changes, mode=0o600)
        for name, content in (("IMAGE", "nothing"), ("SECRET-IMAGE", f"{_CANARY}image")):
            self._words[f"{name}-ID"] = self._import(self._words[name], content)
        self._words |= {"NET": f"{_OWN}-net", "VOLUME": f"{_OWN}-volume"}
        docker("network", "create", self._words["NET"]).succeeded()
        docker("volume", "create", self._words["VOLUME"]).succeeded()
        for word, (name, agent, installation) in _CONTAINERS.items():
            labels = {"airlock.agent": agent, "airlock.installation": installation}
            done = docker(
                *("run", "--detach", "--name", name),
                *(f"--label={key}={value}" for key, value in labels.items() if value),
                *("--label", "airlock.ports=7777:80"),
                *("--env", f"SECRET={_CANARY}environment", "--network", self._words["NET"]),
                *("--volume", f"{self._words['VOLUME']}:/volume", self._words["IMAGE"]),
                *("sh", "-c", f"echo {_CANARY}volume >/volume/file; exec httpd -f -h /volume"),
            )
            self._words |= {word: name, f"{word}-ID": done.succeeded().stdout.strip()}
        docker("volume", "create", f"{self._words['VOLUME']}-spare").succeeded()
        body = {"Cmd": ["cat", "/volume/file"], "AttachStdout": True, "Tty": True}
        path = f"/containers/{self._words['PERSON-ID']}/exec"
        made = self._ask(path, "POST", body)
        self._words |= {"EXEC-ID": made["Id"], "PERSON-PART": self._words["PERSON-ID"][:20]}
        self._words["NET-ID"] = self._ask(f"/networks/{self._words['NET']}")["Id"]
        # A process of the host, whose argument is one.
        (self.root / "planted").symlink_to(shutil.which("cat") or "/bin/cat")
        os.mkfifo(self.root / f"{_CANARY}process")
        # ps cuts what is longer.
        words, program = ["p", f"{_CANARY}process"], self.root / "planted"
        self._process = subprocess.Popen(words, executable=program, cwd=self.root)
        (self.root / "secret").mkdir()
        (self.root / "secret" / "file").write_text(f"{_CANARY}host")

    def await_bridge(self) -> None:
        """Wait until the bridge of _BRIDGED serves. Raises BrokenError if it does not."""
        mark = f"label=airlock.bridge={_BRIDGED}"
        listed = {
            "BRIDGE-ID": ("ps", "--quiet", "--no-trunc", "--filter", mark),
            "BRIDGE-VOLUME": ("volume", "ls", "--quiet", "--filter", mark),
        }
        deadline = time.monotonic() + PATIENCE_S
        while not (listed.keys() <= self._words.keys() and self._bridge.is_socket()):
            if time.monotonic() > deadline:
                raise BrokenError(f"no bridge serves: {self.places.said.read_text()}")
            time.sleep(_TICK_S)
            found = {word: docker(*words).stdout for word, words in listed.items()}
            self._words |= {word: name for word, name in found.items() if name}
        self._before = self._describe()
        (self.workspace / "file").write_text("granted")
        if b"granted" not in (seen := self.claim(container_id=None, cwd="/work")):
            raise BrokenError(f"what is granted behind a bridge is not served: {seen!r}")
        (self.workspace / "file").unlink()

    @property
    def _bridge(self) -> Path:
        """The socket in the bridge's volume, which is a directory of this host."""
        volume = self._words.get("BRIDGE-VOLUME", "")
        found = volume and self._ask(f"/volumes/{volume}")
        return Path(found["Mountpoint"] if found else "/nowhere", "airlock.sock")

    def remove_bridge(self) -> None:
        """Remove what a bridge leaves for the next daemon."""
        volume = self._words.get("BRIDGE-VOLUME", "")
        if volume:
            docker("volume", "rm", "--force", volume, f"{volume}-home")

    def claim(self, *, container_id: str | None, cwd: str | None) -> bytes:
        """Have a client behind the bridge say that it is there, and look at `file`."""
        claims = {"container_id": container_id, "cwd": cwd}
        filled: dict[str, Any] = {name: each and self.fill(each) for name, each in claims.items()}
        with closing(Client(self._bridge)) as client:
            client.send(make_request("look", "file", **filled))
            seen = b""
            while data := client.take():
                seen += data
        return seen

    def _import(self, name: str, content: str, *changes: str, mode: int = 0o644) -> str:
        """Make an image with a shell, a file of root's with this content, and other changes."""
        busybox = shutil.which("busybox")
        if busybox is None:
            raise BrokenError("there is no busybox on PATH; install Debian's busybox-static")
        with io.BytesIO() as packed:
            with tarfile.open(fileobj=packed, mode="w") as archive:
                for program in _PROGRAMS:
                    archive.add(os.path.realpath(busybox), f"bin/{program}")
                member = tarfile.TarInfo("content")
                member.size, member.mode = len(content), mode
                archive.addfile(member, io.BytesIO(content.encode()))
            words = [f"--change={each}" for each in ("CMD cat /content", *changes)]
            done = docker("import", *words, "-", name, stdin=packed.getvalue())
        return done.succeeded().stdout.strip()

    def fill(self, text: str) -> str:
        """Put the names of what is planted for their words, the longest first."""
        for word in sorted(self._words, key=len, reverse=True):
            text = text.replace(word, self._words[word])
        text = text.replace("ROOT", str(self.root))
        head, _, body = text.partition("\r\n\r\n")
        return text.replace("LENGTH", str(len(body)), 1) if "LENGTH" in head else text

    def say(self, *requests: str | bytes) -> bytes:
        """Send requests, a connection each; returns all that is answered.

        Words are filled in those that are text.
        """
        seen = b""
        for request in requests:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(_ANSWER_S)
            with closing(connection), suppress(TimeoutError):
                connection.connect(str(self.places.sockets / MINE / "docker.sock"))
                said = (
                    request if isinstance(request, bytes) else self.fill(request).encode("latin-1")
                )
                connection.sendall(said)
                self._said += said
                if b"Connection: close\r\n" not in said:
                    # Else the broker waits for another request.
                    connection.shutdown(socket.SHUT_WR)
                while data := connection.recv(1 << 16):
                    seen += data
        return seen

    def mount_replaced(self) -> bytes:
        """Bind the agent's socket with a symlink to the engine's in its place, as root there could.

        Returns a secret if a container then has the engine's own.
        """
        path = self.places.sockets / MINE / "docker.sock"
        moved = path.with_name("moved")
        requests = (
            ("create?name=made", {"Image": "IMAGE", "HostConfig": {"Binds": [f"{_SOCKET}:/s"]}}),
            ("made/start", None),
        )
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_ANSWER_S)
        with closing(connection):
            connection.connect(str(path))
            path.rename(moved)
            path.symlink_to(self._engine)
            try:
                for line, body in requests:
                    text = "" if body is None else json.dumps(body | {"Cmd": ["sleep", "100"]})
                    head = f"POST /containers/{line} HTTP/1.1\r\nHost: docker\r\n"
                    head += "Content-Length: LENGTH\r\n\r\n"
                    connection.sendall(self.fill(head + text).encode())
                    seen = connection.recv(1 << 16)
            finally:
                moved.replace(path)
        listed = docker(
            "exec", f"airlock-{MINE}-{_INSTALLATION}-made", "ls", "-i", "/s"
        ).stdout.split()
        has_engine = listed[:1] == [str(os.stat(self._engine).st_ino)]
        return seen + (f"{_CANARY}engine".encode() if has_engine else b"")

    def find_leaks(self, seen: bytes) -> Iterator[str]:
        """A line for each thing that the client got or changed which it may not."""
        if _CANARY.encode() in seen:
            yield f"the client sees the secret of the {seen.split(_CANARY.encode())[1][:11]!r}"
        volume = self._words.get("BRIDGE-VOLUME", "").encode()
        if volume and volume in seen and volume not in self._said:
            yield "the client sees the name of a bridge's volume"
        self._said = b""
        if str(self.workspace).encode() in seen:
            yield "the client sees a path of the host"
        for each in self._ask("/containers/json?all=1"):
            if each["Names"][0].startswith(f"/airlock-{MINE}-") and each["Id"] not in self._planted:
                yield from self._find_held(self._ask(f"/containers/{each['Id']}/json"))
        if (after := self._describe()) != self._before:
            yield f"changed: {[name for name in after if after[name] != self._before.get(name)]}"
        tags = {tag for image in self._ask("/images/json") for tag in image["RepoTags"] or ()}
        for tag in tags:
            if self._words["PLANTED"] in tag and not tag.startswith("airlock.invalid/"):
                yield f"a person may run {tag}"
        self.clear()

    def _find_held(self, found: Mapping[str, Any]) -> Iterator[str]:
        """What a container of the agent has of the host or of others."""
        host = found["HostConfig"]
        is_builder = found["Name"].endswith(f"-{_INSTALLATION}-buildx_buildkit_x")
        for name, plain in _PLAIN.items():
            if host.get(name) not in plain and not (is_builder and name == "SecurityOpt"):
                yield f"a container has {name} = {host.get(name)!r}"
        for name, value in (found["Config"]["Labels"] or {}).items():
            if value and not name.startswith("airlock."):
                yield f"a person's programs see the label {name}"
        networks = set(found["NetworkSettings"]["Networks"])
        modes = {network["Name"] for network in self._ask("/networks") if _is_own(network)}
        if not networks <= modes | {"none"}:
            yield f"a container is in {networks}"
        mode = host["NetworkMode"]
        if mode.startswith("container:") and mode.partition(":")[2] in self._planted:
            yield f"a container has the network of {mode}"
        for mount in found["Mounts"]:
            source = mount.get("Source", "")
            is_own = mount["Type"] == "volume" and _is_own(mount)
            anonymous = mount["Type"] == "volume" and len(mount["Name"]) == 64
            inside = source == str(self.workspace) or source.endswith(f"/.containers/{MINE}.sock")
            is_shim = Path(source).name.startswith("airlock-shim") and not mount["RW"]
            if not (is_own or anonymous or inside or is_shim):
                yield f"a container mounts {source or mount['Name']}"
            if inside and source == str(self.workspace) and found["Config"]["User"] in ("", "0"):
                yield "a container is root in a workspace"

    @property
    def _planted(self) -> set[str]:
        words = (f"{each}-ID" for each in (*_CONTAINERS, "BRIDGE"))
        return {self._words[word] for word in words if word in self._words}

    def _describe(self) -> dict[str, object]:
        """What is planted, as the engine has it."""
        found: dict[str, object] = {}
        for identity in self._planted:
            told = self._ask(f"/containers/{identity}/json")
            networks = {} if told is None else told["NetworkSettings"]["Networks"]
            found[identity] = told and (told["Name"], told["State"]["Status"], sorted(networks))
        for name in ("IMAGE", "SECRET-IMAGE"):
            told = self._ask(f"/images/{self._words[name]}/json")
            found[name] = told and told["Id"]
        network = self._ask(f"/networks/{self._words['NET']}")
        found["NET"] = network and sorted(network["Containers"])
        volumes = self._ask("/volumes")["Volumes"] or ()
        found["VOLUME"] = sorted(each["Name"] for each in volumes if each["Name"].startswith(_OWN))
        found["host"] = sorted(str(each) for each in (self.root / "secret").rglob("*"))
        return found

    def clear(self) -> None:
        """Remove what the agent has made."""
        for each in self._ask("/containers/json?all=1"):
            is_made = each["Names"][0].startswith(f"/airlock-{MINE}-")
            if is_made and each["Id"] not in self._planted:
                self._ask(f"/containers/{each['Id']}?force=1&v=1", "DELETE")
        for each in filter(_is_own, self._ask("/networks")):
            self._ask(f"/networks/{each['Id']}", "DELETE")
        for each in filter(_is_own, self._ask("/volumes")["Volumes"] or ()):
            self._ask(f"/volumes/{each['Name']}", "DELETE")
        for image in self._ask("/images/json"):
            for tag in image["RepoTags"] or ():
                if self._words["PLANTED"] in tag or tag.startswith(f"airlock.invalid/{MINE}-"):
                    self._ask(f"/images/{tag}", "DELETE")

    def _ask(self, path: str, method: str = "GET", body: object = None) -> Any:
        """What the engine itself answers; None if there is no such thing."""
        connection = HTTPConnection("docker")
        connection.sock = socket.socket(socket.AF_UNIX)
        with closing(connection):
            connection.sock.connect(self._engine)
            text = None if body is None else json.dumps(body)
            connection.request(method, f"/v1.44{path}", text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            data = answer.read()
            return json.loads(data) if answer.status in (200, 201) else None


def _is_own(found: Mapping[str, Any]) -> bool:
    return bool(found["Name"].startswith((f"airlock-{MINE}-", f"airlockroot-{MINE}-")))


def carry_out(attacks: Iterable[Attack], *, without: str | None = None) -> list[Result]:
    """Try each attack, with the guard `without` off if one is named.

    What is granted must be served first, and the log be whole afterwards; raises BrokenError.
    """
    with running(without) as scene:
        seen = scene.say("GET /images/IMAGE/json HTTP/1.1\r\nHost: docker\r\n\r\n")
        if without is None and b"200 OK" not in seen:
            raise BrokenError(f"what is granted is not served: {seen!r}")
        results = [Result(each, _try(each, scene)) for each in attacks]
        if without is None:
            check_log(scene.places.log, {})
    return results


def _try(attack: Attack, scene: EngineScene) -> tuple[str, ...]:
    try:
        seen = attack.run(scene)
    except OSError as error:
        return (f"not served: {error}",)
    return tuple(scene.find_leaks(seen))


@contextmanager
def running(without: str | None) -> Iterator[EngineScene]:
    """A daemon before this host's engine."""
    # pytest's own directories are too deep for a socket's path.
    root = Path(tempfile.mkdtemp(prefix="airlock-")).resolve()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        root.chmod(0o755)
        places = Installation(root / "daemon")
        state = root / "state"
        places.enable(["docker", "look"], more=f"[daemon]\nstate = {quote(state)}\n")
        (state / "docker").mkdir(parents=True, mode=0o700)
        state.chmod(0o700)
        (state / "docker" / "installation").write_text(f"{_INSTALLATION}\n")
        scene = EngineScene(places, root)
        scene.workspace.mkdir()
        os.chown(scene.workspace, 1000, 1000)
        stack.enter_context(scene.serving())
        stack.enter_context(scene.planted())
        for agent in (MINE, _OTHER):
            profile = _PROFILE.format(
                workspace=quote(scene.workspace),
                image=quote(scene.fill("docker.io/library/IMAGE")),
                read=quote(scene.fill("SEEN")),
                builder=quote(scene.fill("docker.io/library/BUILDER")),
            )
            places.add_agent(agent, profile=profile)
        if has_bridge := without in _NEED_BRIDGE:
            profile = _BRIDGED_PROFILE.format(workspace=quote(scene.workspace))
            places.add_agent(_BRIDGED, profile=profile, modules={"look": _LOOK})
            stack.callback(scene.remove_bridge)
        program = ["-m", "airlock_daemon"] if without is None else [str(_UNGUARDED), without]
        stack.enter_context(
            Daemon(
                places.argv([sys.executable, *program]),
                said=places.said,
                sockets=lambda: [places.sockets / MINE / "docker.sock"],
                environment={"HOME": str(root), "PATH": os.environ["PATH"]},
            )
        )
        if has_bridge:
            scene.await_bridge()
        yield scene
