"""Boxes that hold credentials: what of them others get, and what else of the host comes along."""

from collections.abc import Iterator
from functools import partial

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.attack import GOT, python
from e2e.canary.boxes.run import why_not
from e2e.canary.boxes.scene import BoxScene
from e2e.canary.boxes.world import HOME_FILES
from e2e.canary.scene import hear
from e2e.world.lines import make_request

_KNOWN = "what a box holds can be read by what runs there, so by whoever writes that"
# By their names in the home.
_HOLDS = (".kube/config", ".netrc")

_HELD = """
with open(os.path.expanduser('~/.kube/config')) as file:
    held = file.read()
"""
_SEARCH = """
found = [path for path in walk('/', '/proc', '/usr', '/sys') if os.path.isfile(path)]
for path in found:
    with suppress(OSError), open(path, 'rb') as file:
        if b'token = ' in file.read(1 << 16) and path != os.path.expanduser('~/.kube/config'):
            got(path)
"""
_CHANGE = """
path = os.path.expanduser('~/.kube/config')
for action in (
    lambda: os.chmod(path, 0o600), lambda: open(path, 'a').write('changed'),
    lambda: os.rename(path, path + '.old'), lambda: open(path, 'w').write('changed'),
):
    with suppress(OSError):
        print(action())
"""
_UNCHANGED = """
with open(os.path.expanduser('~/.kube/config')) as file:
    if 'changed' in file.read():
        got('what another command wrote')
"""
_ALONE = {
    "other files of the home": "show(*('<home>/' + name for name in "
    f"{[name for name in HOME_FILES if name not in _HOLDS]!r}))",
    "files of the host with a token": _SEARCH,
    "the daemon's variables": "[got(name) for name in os.environ "
    "if name in ('GITHUB_TOKEN', 'AWS_SECRET_ACCESS_KEY', 'SSH_AUTH_SOCK', 'KUBECONFIG')]",
    "the configuration": "show('<config>/credential', '<config>/config.toml', '<log>')",
    "what pid 1 has": "[attempt(name, lambda: open(f'/proc/1/{name}', 'rb').read(9)) "
    "for name in ('environ', 'mem', 'maps', 'fd/3', 'fd/4', 'fd/5', 'auxv')]",
    "descriptors": "names = os.listdir('/proc/self/fd')\n"
    "[got(name) for name in names if name > '2' and os.path.exists(f'/proc/self/fd/{name}')]",
    "a server of the host": "talk((socket.AF_INET, socket.SOCK_STREAM), ('127.0.0.1', <tcp>))",
    "a process of the host": "attempt('signal', lambda: os.kill(<victim>, 0))",
}
# Where the tool alone may be executed; each would say so if it were.
_SAYS = "['x', MARK, 'it runs']"
_EXECUTES = {
    "a program of the system": f"os.execv('/bin/echo', {_SAYS})",
    "it through its loader": "os.execv(LOADER, ['ld', '/bin/echo', MARK, 'it runs'])",
    "it by a descriptor": f"os.execve(os.open('/bin/echo', os.O_RDONLY), {_SAYS}, {{}})",
    "it in a child": f"print(os.waitpid(os.posix_spawn('/bin/echo', {_SAYS}, {{}}), 0))",
    "it in memory": "made = os.memfd_create('x'); os.write(made, open('/bin/echo', 'rb').read())\n"
    f"os.execve(made, {_SAYS}, {{}})",
    "the tool again": "os.execv(sys.executable, ['x', '-c', \"print('GO' + 'T: again')\"])",
    "the tool by its link": "os.execv('/proc/self/exe', ['x', '-c', \"print('GO' + 'T: again')\"])",
    "a shell of the library": "print(libc.system(b'echo GO\"\"T: it runs'))",
}
# The same, of what is written first: there are two walls before it.
_WRITES = {
    "it from the workspace": "open('x', 'wb').write(open('/bin/echo', 'rb').read())\n"
    f"os.chmod('x', 0o755); os.execv('./x', {_SAYS})",
    "a script": "open('s', 'w').write('#!/bin/sh\\necho GO\"\"T: it runs\\n')\n"
    "os.chmod('s', 0o755); os.execv('./s', ['s'])",
}
# What the tool is told to execute that is on no list; id(1) says so if it is.
_UNLISTED = {
    "a program of the system": ("run", "none", "/usr/bin/id"),
    "it by a shell": ("run", "none", "/bin/sh", "-c", "id"),
    "it in memory": ("memory", "/usr/bin/id"),
}
# Machine code that comes from where it can be written.
_MAPS = {
    "a library in the workspace": "open('m.so', 'wb').write(open(LIBRARY, 'rb').read())\n"
    "got(ctypes.CDLL('./m.so'))",
    "a library in /tmp": "open('/tmp/m.so', 'wb').write(open(LIBRARY, 'rb').read())\n"
    "got(ctypes.CDLL('/tmp/m.so'))",
    "a file that is mapped": "file = open('x', 'w+b'); file.write(bytes(4096)); file.flush()\n"
    "attempt('code', lambda: mmap.mmap(file.fileno(), 4096, prot=5))",
}
_FIND = """
def find(prefix):
    places = ('/lib64', '/lib', *(f'/lib/{each}-linux-gnu' for each in ('x86_64', 'aarch64')))
    return next(
        f'{place}/{name}' for place in places if os.path.isdir(place)
        for name in os.listdir(place) if name.startswith(prefix)
    )
LOADER, LIBRARY = find('ld-linux'), find('libm.so')
"""

# What a tool that reads any path and follows links is told to read; a link is in the workspace.
_SOUGHT = {
    "a search of the home and above": "-rs token /home /run /tmp /var /etc /dev /root /opt /srv",
    "a search through links": "-Rs token . /run /home",
    "its own variables": "-as . /proc/self/environ /proc/thread-self/environ /proc/1/environ",
    "its own variables, through a link": "-as . environ",
    "its own memory": "-as token /proc/self/mem /proc/self/maps /proc/self/auxv /proc/self/stat",
    "its own descriptors": "-rs token /proc/self/fd /dev/fd /proc/self/cwd /proc/self/root/run",
    "patterns from a file": "-f environ -as . file",
    "a file of patterns below the home": "-rsf /home/airlock/.kube/config . /home",
}


def _seek(scene: BoxScene, *, words: str) -> bytes:
    """The tool says what it finds of what it holds."""
    (scene.world.workspace / "environ").symlink_to("/proc/self/environ")
    (scene.world.workspace / "home").symlink_to("/home/airlock")
    return scene.run("grep", *words.split())


# A command of the same agent, beside one that holds something.
_BESIDE = """
cat /proc/*/environ /proc/*/cmdline ~/.kube/config /proc/*/root/home/airlock/.kube/config
grep -rs token / --include=config --exclude-dir=proc --exclude-dir=usr; ls -R /home /run /tmp; true
"""


def _execute(scene: BoxScene, *, words: tuple[str, ...]) -> bytes:
    seen = scene.run("listed", *words)
    return (GOT if b"uid=" in seen else b"") + seen


def _run_twice(scene: BoxScene) -> bytes:
    """What one command makes of its file is not what the next one gets."""
    for code in (_CHANGE, _UNCHANGED):
        seen = scene.run("holding", "-c", _PRELUDE + code)
    return seen


def _look_beside(scene: BoxScene) -> bytes:
    here = scene.fill("<here>")
    with scene.connect() as client:
        code = "print('there', flush=True); open(0).read()"
        client.send(make_request("holding", "-c", code, cwd=here, features=["stdin"]))
        client.await_output("there")
        seen = scene.run("sh", "-c", _BESIDE)
        client.half_close()
        return seen + hear(client)


def _choose(scene: BoxScene, *, command: str) -> bytes:
    """A container decides where a link of the human's leads in the end: this one, or another.

    The other one has done that already.
    """
    if command == "chosen":
        (scene.world.workspace / command).symlink_to(scene.fill("<home>/.ssh/id_ed25519"))
    return scene.run(command, "-c", "print(open('/home/airlock/held').read())")


def _read_log(scene: BoxScene) -> bytes:
    """The daemon writes what it fetches nowhere."""
    scene.run("holding", "-c", _PRELUDE + _HELD)
    scene.run("told", "-c", "pass")
    world = scene.world
    written = world.log.read_bytes() + world.said.read_bytes()
    names = [name for name in _HOLDS if world.words[name].encode() in written]
    return GOT + f"the log has the words of {names}".encode() if names else b""


_PRELUDE = """
import os
from contextlib import suppress
def got(what):
    print('GO' + 'T:', what, flush=True)
"""


def _attacks() -> Iterator[Attack]:
    held = partial(python, guard="holding", command="holding", only="bubblewrap")
    yield held("holding: a file that it holds", code=f"{_HELD}\nprint(held)", known=_KNOWN)
    yield held("holding: a variable that it holds", code="print(os.environ['HELD'])", known=_KNOWN)
    for name, code in _ALONE.items():
        yield held(f"beside what it holds: {name}", code=code)
    here, there = (partial(_choose, command=command) for command in ("chosen", "lent"))
    for name, run, works in (
        ("a file that the command before has changed", _run_twice, False),
        ("from a command beside it", _look_beside, False),
        ("a file that the container chooses by a link", here, True),
        ("a file that another agent's container chooses", there, True),
        ("the log", _read_log, False),
    ):
        yield Attack(name, "box-holding", run, works, only="bubblewrap")
    alone = partial(python, command="alone", only="bubblewrap", works_without=True)
    for guard, codes in (("alone", _EXECUTES), ("programs", _WRITES), ("noexec", _MAPS)):
        for name, code in codes.items():
            yield alone(f"beside the tool: {name}", guard, code=f"{_FIND}\n{code}")
    for name, words in _UNLISTED.items():
        run = partial(_execute, words=words)
        told = f"beside the list: {name}"
        yield Attack(told, "box-listed", run, works_without=True, only="bubblewrap")
    for name, line in _SOUGHT.items():
        run = partial(_seek, words=line)
        works = "memory" not in name and "pattern" not in name
        told = f"what a tool is led to: {name}"
        yield Attack(told, "box-holding", run, works, only="bubblewrap")
    code = "got('it runs')"
    yield python("what cannot be fetched", "holding", code, command="told", only="bubblewrap")
    yield python("to hold something", "holding", code, command="holding", only="landlock")


FAMILY = Family("box-holding", tuple(_attacks()), why_not)
