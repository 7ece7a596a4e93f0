"""The way out of a box whose module names places: to others, and around the broker to the host."""

from collections.abc import Iterator
from functools import partial

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.attack import GOT, python
from e2e.canary.boxes.host import OPEN
from e2e.canary.boxes.run import why_not
from e2e.canary.boxes.scene import BoxScene
from e2e.canary.scene import hear
from e2e.world.lines import make_request

# What is said to the broker, and what it answers. A server says at once what it has to say.
_ASK = """
host, _, port = os.environ['https_proxy'].removeprefix('http://').rpartition(':')
def ask(*pieces, wait=5):
    with socket.create_connection((host, int(port))) as made:
        made.settimeout(wait)
        with suppress(OSError):
            for piece in pieces:
                made.sendall(piece)
        answer = b''
        with suppress(OSError):
            while piece := made.recv(65536):
                answer += piece
        print(answer[:600])
        return answer
def connect(place, *behind):
    return ask(b'CONNECT ' + place + b' HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n', *behind, wait=2)
"""

# Hosts that are none of those that the module names, and at which a server of the host answers.
_PLACES = (
    *("127.0.0.1:<tcp>", "localhost:<tcp>", "[::1]:<tcp6>", "[::ffff:127.0.0.1]:<tcp>"),
    *("127.1:<tcp>", "0:<tcp>", "0.0.0.0:<tcp>", "[::]:<tcp6>", "127.9.9.9:<tcp>"),
    *(
        "2130706433:<tcp>",
        "0x7f.1:<tcp>",
        "0177.0.0.1:<tcp>",
        "127.0.0.1.:<tcp>",
        "LOCALHOST:<tcp>",
    ),
    *("127.0.0.1:0<tcp>", "127.0.0.1:+<tcp>", "127.0.0.1: <tcp>", "127.0.0.1%00:<tcp>"),
    *("127.0.0.1:<open>@127.0.0.1:<tcp>", "x@127.0.0.1:<tcp>", "127.0.0.1:<open>:<tcp>"),
    *("127.0.0.1:<open>/../127.0.0.1:<tcp>", "http://127.0.0.1:<tcp>", "//127.0.0.1:<tcp>"),
    *("127.0.0.1:<open>,127.0.0.1:<tcp>", "127.0.0.1:<open>#:<tcp>", "127.0.0.1:<open>?:<tcp>"),
    *("a.example.com:<tcp>", "127.0.0.1.example.com:443", "localhost.example.com:443"),
    *("example.com:443", "a.example.com.:443", "x.example.com@127.0.0.1:<tcp>", ".example.com:443"),
    *("[::1%lo]:<tcp6>", "[64:ff9b::127.0.0.1]:<tcp>", "[::127.0.0.1]:<tcp>", "[fe80::1]:<tcp6>"),
    *("169.254.169.254:80", "metadata.google.internal:80", "10.0.0.1:443", "172.17.0.1:<tcp>"),
    *("127.0.0.1:9", "127.0.0.1:22", "<unix>:<tcp>", "unix:<unix>:80", "127.0.0.1", ":<tcp>", ""),
)
# Of those, what the broker reads as a host when nothing is withheld.
_READ = ("127.0.0.1:<tcp>", "localhost:<tcp>", "[::1]:<tcp6>", "LOCALHOST:<tcp>")

# Heads that two readers might read as one place and another.
# `<end>` is the end of such a head, and `<line>` that of a line.
_HEADS = {
    "a place behind a line feed": "CONNECT 127.0.0.1:<open>\\n127.0.0.1:<tcp> HTTP/1.1<end>",
    "a place behind a tab": "CONNECT 127.0.0.1:<open>\\t127.0.0.1:<tcp> HTTP/1.1<end>",
    "two places": "CONNECT 127.0.0.1:<open> 127.0.0.1:<tcp> HTTP/1.1<end>",
    "a NUL": "CONNECT 127.0.0.1:<tcp>\\0.example.com:443 HTTP/1.1<end>",
    "another place in Host": "CONNECT 10.0.0.1:443 HTTP/1.1<line>Host: 127.0.0.1:<tcp><line><line>",
    "two of Host": "CONNECT a.example.com:443 HTTP/1.1<line>Host: 127.0.0.1:<tcp><end>",
    "a folded header": "CONNECT 127.0.0.1:<tcp><line> :443 HTTP/1.1<end>",
    "the whole of a URL": "GET http://127.0.0.1:<tcp>/ HTTP/1.1<end>",
    "a path": "GET / HTTP/1.1<line>Host: 127.0.0.1:<tcp><line><line>",
    "an old version": "CONNECT 127.0.0.1:<tcp> HTTP/0.9<end>",
    "small letters": "connect 127.0.0.1:<tcp> HTTP/1.1<end>",
    "lines without a carriage return": "CONNECT 127.0.0.1:<tcp> HTTP/1.1\\nHost: a\\n\\n",
    "a body": "CONNECT 127.0.0.1:<open> HTTP/1.1<line>Content-Length: 40<end>"
    "CONNECT 127.0.0.1:<tcp> HTTP/1.1<end>",
    "pieces": "CONNECT 127.0.0.1:<tcp> HTTP/1.1<line>Transfer-Encoding: chunked<end>0<line><line>",
    "a second request": "CONNECT a.example.com:443 HTTP/1.1<end>"
    "CONNECT 127.0.0.1:<tcp> HTTP/1.1<end>",
    "SOCKS 4": "\\x04\\x01\\x00\\x16\\x7f\\x00\\x00\\x01\\x00",
    "SOCKS 5": "\\x05\\x01\\x00\\x05\\x01\\x00\\x01\\x7f\\x00\\x00\\x01\\x00\\x16",
    "TLS": "\\x16\\x03\\x01\\x00\\x05\\x01\\x00\\x00\\x01\\x00",
    "HTTP 2": "PRI * HTTP/2.0<line><line>SM<line><line>",
    "a line without end": 'CONNECT " + "x" * 200_000 + "',
    "headers without end": 'CONNECT 127.0.0.1:<tcp> HTTP/1.1<line>" + "a: b<line>" * 20_000 + "',
}
_SOCKET = "socket.socket(socket.AF_INET, socket"
_AROUND = {
    "the host's loopback": "talk((socket.AF_INET, socket.SOCK_STREAM), ('127.0.0.1', <tcp>))",
    "that of IPv6": "talk((socket.AF_INET6, socket.SOCK_STREAM), ('::1', <tcp6>))",
    "a name's place, at other ports": "for port in (<tcp>, <tcp6>, <open>):\n"
    "    talk((socket.AF_INET, socket.SOCK_STREAM), ('127.0.3.1', port))",
    "a name of its own": "with suppress(OSError):\n"
    "    open('/etc/hosts', 'a').write('127.0.0.1 b.invalid')\n"
    "with suppress(OSError):\n    got(socket.gethostbyname('b.invalid'))",
    "an abstract socket": "talk((socket.AF_UNIX, socket.SOCK_STREAM), '\\0<abstract>')",
    "a datagram": f"got({_SOCKET}.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 53)))",
    "another protocol": f"got({_SOCKET}.SOCK_STREAM, 262))",
    "the broker's place": "got(socket.create_server((host, int(port)), reuse_port=True))",
    "its place on all addresses": "got(socket.create_server(('0.0.0.0', int(port))))",
    "the place of what is named": "got(socket.create_server(('127.0.0.1', <open>)))",
    "an interface": "names = open('/proc/self/net/dev').read().split()\n"
    "[got(name) for name in names if name[-1] == ':' and name != 'lo:']",
    "a route": "[got(line) for line in open('/proc/self/net/route').readlines()[1:]]",
    "the daemon's proxy": "print(dict(os.environ)); connect(b'127.0.0.1:9')",
    "descriptors": "names = os.listdir('/proc/self/fd')\n"
    "[got(name) for name in names if name > '2' and os.path.exists(f'/proc/self/fd/{name}')]",
}
_FLOOD = """
kept = []
with suppress(OSError):
    for _ in range(3000):
        made = socket.create_connection((host, int(port)), timeout=0.2)
        made.sendall(b'CONNECT 127.0.0.1:<open> HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n')
        kept.append(made)
print('under way', flush=True)
open(0).read()
"""


def _use(scene: BoxScene) -> bytes:
    """What is named is reached, else the other attacks show nothing."""
    seen = scene.run("way", "-c", scene.fill(_USE))
    return b"" if OPEN.encode() in seen else GOT + b"nothing is reached\n" + seen


def _flood(scene: BoxScene) -> bytes:
    """As many conversations as a box can begin; other commands and agents are served."""
    here = scene.fill("<here>")
    with scene.connect() as client:
        code = f"import os, socket\nfrom contextlib import suppress\n{_ASK}{scene.fill(_FLOOD)}"
        client.send(make_request("way", "-c", code, cwd=here, features=["stdin"]))
        client.await_output("under way")
        served = _use(scene) + scene.run("sh", "-c", "echo served", agent="other", cwd="<other>")
        client.half_close()
        seen = hear(client)
    return seen + (b"" if b"served" in served else GOT + b"others are not served") + served


_USE = f"import os, socket\nfrom contextlib import suppress\n{_ASK}\nconnect(b'127.0.0.1:<open>')\n"


def _attacks() -> Iterator[Attack]:
    way = partial(python, guard="box-way".removeprefix("box-"), command="way", only="bubblewrap")
    yield Attack("what is named is reached", "box-way", _use, only="bubblewrap")
    for place in _PLACES:
        code = f"{_ASK}\nconnect(b'{place}', b'hello')"
        yield way(f"asked for {place}", code=code, works_without=place in _READ)
    for name, head in _HEADS.items():
        said = head.replace("<end>", "<line>Host: a<line><line>").replace("<line>", "\\r\\n")
        yield way(f"asked by {name}", code=f'{_ASK}\nask(("{said}").encode("latin-1"))')
    for name, code in _AROUND.items():
        yield way(f"around it: {name}", code=f"{_ASK}\n{code}")
    yield Attack("thousands of conversations", "box-way", _flood, only="bubblewrap")
    # What cannot be held there is refused.
    yield python("a network", "way", "got('a box')", command="way", only="landlock")


FAMILY = Family("box-egress", tuple(_attacks()), why_not)
