"""The way out of a box whose module names what it may reach: to what it does not name."""

from collections.abc import Iterator

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.attack import python
from e2e.canary.boxes.run import why_not

_ASK = """
with socket.create_connection(('127.0.0.1', 3128), timeout=20) as made:
    made.sendall({says!r}.encode())
    made.shutdown(socket.SHUT_WR)
    while piece := made.recv(65536):
        print(piece)
"""
_END = "\r\nHost: x\r\n\r\n"
# What the module of `net` names, and of which nobody is there.
_GRANTED = "CONNECT 127.0.0.1:1 HTTP/1.1" + _END

# The module does not name it; all that holds it back is that.
_PLAIN = ("127.0.0.1", "localhost", "LOCALHOST")
_SPELLED = (
    *("127.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.0.0.1.", "localhost.", "0.0.0.0", "0"),  # noqa: S104
    *("[::ffff:127.0.0.1]", "[::127.0.0.1]", "[::]", "[::1%lo]", "x@127.0.0.1", "//127.0.0.1"),
    *("127.0.0.1#.example.com", "127.0.0.1/.example.com", "127.0.0.1%00.example.com"),
    *("x.example.com:443@127.0.0.1", "x.example.com\r\nHost: 127.0.0.1\r\nX: 127.0.0.1"),
)
_METADATA = ("169.254.169.254", "2852039166", "[::ffff:a9fe:a9fe]", "[fd00:ec2::254]", "metadata")


def _ask(says: str) -> str:
    return _ASK.format(says=says)


def _connect(host: str, port: str) -> str:
    return _ask(f"CONNECT {host}:{port} HTTP/1.1{_END}")


def _attacks() -> Iterator[Attack]:
    for host in _PLAIN:
        yield _attack(host, _connect(host, "<tcp>"), works_without=True)
    yield _attack("[::1]", _connect("[::1]", "<tcp6>"), works_without=True)
    for host in _SPELLED:
        yield _attack(f"spelled {host!r}", _connect(host, "<tcp>"))
    for host in _METADATA:
        yield _attack(f"metadata by {host}", _connect(host, "80"))
        yield _attack(f"metadata by {host}, at a port that is named", _connect(host, "443"))
    behind = f"CONNECT 127.0.0.1:<tcp> HTTP/1.1{_END}"
    yield _attack("behind a request that is granted", _ask(_GRANTED + behind))
    yield _attack("as the host of one", _ask(_GRANTED.replace("Host: x", "Host: 127.0.0.1:<tcp>")))
    yield _attack("in its body", _ask(_GRANTED[:-2] + f"Content-Length: 60\r\n\r\n{behind}"))
    yield _attack("by its whole URL", _ask(f"GET http://127.0.0.1:<tcp>/ HTTP/1.1{_END}"))
    yield _attack("by a method of another name", _ask(f"connect 127.0.0.1:<tcp> HTTP/1.1{_END}"))
    yield _attack("without the broker", "talk((2, 1), ('127.0.0.1', <tcp>))")
    # In the answer of the human's proxy, or of what the daemon says of it.
    yield _attack("the password of the proxy", _connect("[2001:db8::1]", "443"))


def _attack(name: str, code: str, *, works_without: bool = False) -> Attack:
    return python(
        f"a way out: {name}",
        "reach",
        code,
        command="net",
        works_without=works_without,
        only="bubblewrap",
    )


FAMILY = Family("box-reach", tuple(_attacks()), why_not)
