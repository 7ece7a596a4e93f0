"""Servers of the host, by TCP, by unix sockets of both kinds, and objects of IPC."""

from collections.abc import Iterator

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.attack import python
from e2e.canary.boxes.run import why_not

_TCP = "(socket.AF_INET, socket.SOCK_STREAM)"
_TCP6 = "(socket.AF_INET6, socket.SOCK_STREAM)"
_UNIX = "(socket.AF_UNIX, socket.SOCK_STREAM)"
_BUS = ("GHSA-27vp-2mmc-vmh3",)
_SERVERS = {
    "a server on loopback": f"talk({_TCP}, ('127.0.0.1', <tcp>))",
    "a server on loopback, by another address": f"talk({_TCP}, ('127.9.9.9', <tcp>))",
    "a server on loopback, by no address": f"talk({_TCP}, ('0.0.0.0', <tcp>))",
    "a server on loopback of IPv6": f"talk({_TCP6}, ('::1', <tcp6>))",
    "a server on loopback, by a mapped address": f"talk({_TCP6}, ('::ffff:127.0.0.1', <tcp>))",
    "an abstract socket": f"talk({_UNIX}, '\\0<abstract>')",
    "a unix socket by its path": f"talk({_UNIX}, '<unix>')",
    "the socket of its own agent": f"talk({_UNIX}, '<sockets>/my/airlock.sock')",
    "the socket of another agent": f"talk({_UNIX}, '<sockets>/other/airlock.sock')",
    "the docker engine": f"talk({_UNIX}, '/var/run/docker.sock', b'GET /version HTTP/1.0\\n\\n')",
    "the system's bus": f"talk({_UNIX}, '/run/dbus/system_bus_socket')",
    "the session's bus": f"talk({_UNIX}, '<bus>')",
    "the session's bus, by its abstract address": f"talk({_UNIX}, '\\0<abstract-bus>')",
    "the log's socket": f"talk({_UNIX}, '/dev/log')",
}
_METADATA = """
with socket.socket() as made:
    made.settimeout(2)
    attempt('metadata', lambda: made.connect(('169.254.169.254', 80)))
"""
_FAST_OPEN = f"""
with socket.socket(*{_TCP}) as made:
    made.settimeout(2)
    made.sendto(b'x', 0x20000000, ('127.0.0.1', <tcp>))
    print(made.recv(100))
"""
_INTERFACES = """
names = [line.split(':')[0].strip() for line in open('/proc/self/net/dev')][2:]
if names != ['lo']:
    got(names)
"""
_LISTEN = """
server = socket.create_server(('127.0.0.1', <tcp>))
print('listens in the box')
"""
_SHM = """
libc.shmat.restype = ctypes.c_void_p
address = libc.shmat(<shm>, None, 0o10000)
if address != ctypes.c_void_p(-1).value:
    print(ctypes.string_at(address, 32))
"""
_KEYS = """
buffer = ctypes.create_string_buffer(100)
for key in (<key>, -3, -4, -5):
    result = call((250, 219), 11, key, buffer, 100)
    print(key, result, buffer.raw)
words = (b'user', b'airlock-canary', None)
print(call((249, 218), *(ctypes.c_char_p(word) for word in words), -3))
"""
_QUEUE = """
rt = ctypes.CDLL(None, use_errno=True)
queue = rt.mq_open(b'/airlock', os.O_CREAT | os.O_RDWR, 0o666, None)
if queue >= 0:
    got('a queue of messages')
"""
_OVER_A_SOCKET = """
for path in ('/', '/usr', '/home', '<home>/.ssh', '.', '/proc/self/root', '/dev', '/tmp'):
    with suppress(OSError):
        descriptor = os.open(path, os.O_PATH)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=os.dup(0)) as made:
            socket.send_fds(made, [path.encode()], [descriptor])
"""


def _attacks() -> Iterator[Attack]:
    for name, code in _SERVERS.items():
        is_other = "another address" in name
        tries = _BUS if "bus" in name else ()
        yield python(
            f"{name}, without sockets",
            "sockets",
            code,
            works_without=not is_other
            and any(each in name for each in ("server", "an abstract", "by its", "session's bus")),
            tries=tries,
        )
        command = "inet" if "server" in name else "unix"
        works = "abstract" in name or (command == "inet" and not is_other)
        yield python(
            f"{name}, with sockets",
            "network",
            code,
            command=command,
            works_without=works,
            only="bubblewrap",
            tries=tries,
        )
    yield python("the metadata of a cloud", "network", _METADATA, command="inet", only="bubblewrap")
    yield python(
        "a connection on the way of sending",
        "network",
        _FAST_OPEN,
        command="inet",
        only="bubblewrap",
    )
    yield python(
        "interfaces", "network", _INTERFACES, command="inet", works_without=True, only="bubblewrap"
    )
    yield python("a server's port", "network", _LISTEN, command="inet", only="bubblewrap")
    yield python("a segment of System V", "ipc", _SHM, works_without=True)
    yield python("a file of shared memory", "ipc", "show('<memory>')", works_without=True)
    yield python(
        "to write shared memory", "ipc", "open('<memory>', 'w').write('x')", works_without=True
    )
    yield python("a queue of messages", "ipc", _QUEUE)
    yield python(
        "descriptors over a socket that the client passes",
        "descriptors",
        _OVER_A_SOCKET,
        way="socket",
    )
    yield python("keys of the daemon's session", "keys", _KEYS, works_without=True)


FAMILY = Family("box-network", tuple(_attacks()), why_not)
