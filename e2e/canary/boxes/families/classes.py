"""The classes that are no wall around credentials: what each leaves, and what "home" holds."""

from collections.abc import Iterator

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.attack import python
from e2e.canary.boxes.run import why_not
from e2e.canary.boxes.world import HOME_FILES

_TCP = "(socket.AF_INET, socket.SOCK_STREAM)"
_UNIX = "(socket.AF_UNIX, socket.SOCK_STREAM)"

_READ_HOME = f"show(*('<home>/' + name for name in {HOME_FILES!r}))"
_READ_ETC = """
for path in ('/etc/hostname', '/etc/resolv.conf', '/etc/machine-id', '/etc/fstab'):
    attempt(path, lambda: open(path).read(80))
"""
_SEND = f"""
with socket.socket(*{_TCP}) as made:
    made.settimeout(5)
    made.connect(('127.0.0.1', <tcp>))
    with open('<home>/.ssh/id_ed25519', 'rb') as file:
        made.sendfile(file)
"""
_LISTEN = """
server = socket.create_server(('0.0.0.0', 0))
got(f'listens on the host, at {server.getsockname()}')
"""
_HOME_IS_KNOWN = "a box of the class \"home\" has the human's home and the host's network"
# And whose daemon it takes: the home is that of the user in the boxes, whom root's human is not.
_HOME_LEAVES = {
    "credentials of the home": ("user", _READ_HOME),
    "a key sent to a server": ("user", _SEND),
    "files of /etc that anybody may read": ("", _READ_ETC),
    "a server on the host's loopback": ("", f"talk({_TCP}, ('127.0.0.1', <tcp>))"),
    # Landlock lets nobody listen.
    "a port of the host": ("bubblewrap", _LISTEN),
}

# What is not left, and the guard that holds it.
_HOME_HOLDS = {
    "a line for the next shell": ("files", "print(open('<home>/.profile', 'a').write('x'))"),
    "authorized keys": ("files", "print(open('<home>/.ssh/authorized_keys', 'w').write('x'))"),
    "a key removed": ("files", "os.unlink('<home>/.ssh/id_ed25519')"),
    "the configuration": ("files", "show('<config>/credential', '<config>/config.toml')"),
    "the agent's directory": ("files", "show('<agents>/my/airlock.toml')"),
    "another agent's workspace": ("files", "show('<other>/file')"),
    "a file that all may write": ("files", "attempt('file', lambda: open('<outside>/file', 'a'))"),
    "a unix socket by its path": ("sockets", f"talk({_UNIX}, '<unix>')"),
    "an abstract socket": ("sockets", f"talk({_UNIX}, '\\0<abstract>')"),
    "the docker engine": ("sockets", f"talk({_UNIX}, '/var/run/docker.sock', b'x\\n\\n')"),
    "another agent": ("sockets", f"talk({_UNIX}, '<sockets>/other/airlock.sock')"),
    "a process's arguments": ("processes", "show('/proc/<victim>/cmdline')"),
    "a signal": ("processes", "attempt('signal', lambda: os.kill(<victim>, 0))"),
    "shared memory": ("ipc", "show('<memory>')"),
    "the daemon's variables": ("environment", "print(dict(os.environ))"),
    "a raw socket": ("filter", "denied('raw', call((41, 198), 2, 3, 1), 'EAFNOSUPPORT')"),
    "a namespace": ("filter", "denied('unshare', call((272, 97), 0x10000000))"),
}
# Of a file of the same user, and by Landlock, where closed boxes leave it too.
_RIGHTS = "os.chmod('<home>/.ssh/id_ed25519', 0o777)"
_CHMOD = "Landlock does not look at changes of rights, owner, times and attributes (Linux 6.18)"

_NONE_IS_KNOWN = 'box = "none" is no box: the command is a program of the daemon\'s user'
_NONE_LEAVES = {
    "credentials of the home": _READ_HOME,
    "a file changed": "open('<outside>/file', 'a').write('x')",
    "a line for the next shell": "open('<home>/.profile', 'a').write('x')",
    "the configuration": "show('<config>/credential')",
    "another agent's workspace": "show('<other>/file')",
    "a process's arguments": "show('/proc/<victim>/cmdline')",
    "a server on the host's loopback": f"talk({_TCP}, ('127.0.0.1', <tcp>))",
    "a unix socket by its path": f"talk({_UNIX}, '<unix>')",
    "an abstract socket": f"talk({_UNIX}, '\\0<abstract>')",
    "shared memory": "show('<memory>')",
}


def _attacks() -> Iterator[Attack]:
    for name, (only, code) in _HOME_LEAVES.items():
        known = _HOME_IS_KNOWN
        yield python(f"home: {name}", "files", code, command="home", only=only, known=known)
    for name, (guard, code) in _HOME_HOLDS.items():
        yield python(f"home, held: {name}", guard, code, command="home")
    for only, known in (("bubblewrap", ""), ("landlock of user", _CHMOD)):
        name = "home: rights of a key"
        yield python(name, "files", _RIGHTS, command="home", only=only, known=known)
    for name, code in _NONE_LEAVES.items():
        yield python(f"none: {name}", "files", code, command="none", known=_NONE_IS_KNOWN)


FAMILY = Family("box-classes", tuple(_attacks()), why_not)
