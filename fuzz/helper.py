"""Target: what a client says to git-remote where it is the helper of a URL.

The first byte seeds the cutting into pieces, the first line stands for the URL; then come the
commands of a remote helper, and the requests of a fetch. However the bytes come, they are read in
the same way, nothing is lost of them, and what is refused is told in one line.
"""

from airlock_modules.remotes.destination import RemoteError, read_url_words
from airlock_modules.remotes.git_protocol import FetchRequestReader, HelperReader
from fuzz.pieces import cut
from fuzz.target import BrokenPromiseError, Target, decode, require_one_line

_MAX_LENGTH = 2048
_NEVER = frozenset("%?#\\\n\r\0 ")


def _check(data: bytes) -> None:
    if not data:
        return
    url, _, stream = data[1:].partition(b"\n")
    _check_url(decode(url))
    found = _converse(stream, [stream])
    if _converse(stream, list(cut(stream, data[0]))) != found:
        raise BrokenPromiseError("pieces are read in another way than the whole")


def _check_url(url: str) -> None:
    try:
        found = read_url_words("https", ["origin", url])
    except RemoteError as error:
        require_one_line(error.problem)
        return
    rest = url.removeprefix("https://").partition("/")[0].rpartition("@")[2].lower()
    if found.user is not None or _NEVER & set(found.host):
        raise BrokenPromiseError(f"a user or host of {url!a}")
    if found.host.strip("[]") not in rest and ":" not in found.host:
        raise BrokenPromiseError(f"{found.host} is not what {url!a} names")
    if not url.rstrip("/").endswith(found.path):
        raise BrokenPromiseError(f"{found.path} is not what {url!a} names")


def _converse(stream: bytes, pieces: list[bytes]) -> tuple[list[str | bytes], str | None]:
    """Everything that is understood, a request whole, and what is refused."""
    helper, fetch = HelperReader(), FetchRequestReader()
    found: list[str | bytes] = []
    request = b""
    is_connected = False
    try:
        for piece in pieces:
            rest = piece
            if not is_connected:
                helper.feed(piece)
                while not is_connected and (command := helper.take()) is not None:
                    found.append(command)
                    is_connected = command.startswith("git-")
                rest = helper.rest if is_connected else b""
            fetch.feed(rest)
            while True:
                taken, is_whole = fetch.take()
                request += taken
                if is_whole:
                    found.append(request)
                    request = b""
                elif not taken:
                    break
    except RemoteError as error:
        require_one_line(error.problem)
        return found, error.rule
    if b"".join(each for each in found if isinstance(each, bytes)) not in stream:
        raise BrokenPromiseError("a request holds what nobody sent")
    return found, None


TARGET = Target(
    check=_check,
    seeds=(
        b"\0https://me@host/a\ncapabilities\nconnect git-upload-pack\n0014command=ls-refs\n0000",
        b"\1https://[::1]:8443/a/b.git\noption x y\n\n",
        b"\2https://host/~a\nconnect git-upload-pack\n0011command=fetch00010009done\n00000000",
    ),
    words=(
        b"https://",
        b"host",
        b"capabilities\n",
        b"option ",
        b"connect ",
        b"git-upload-pack\n",
        b"git-receive-pack\n",
        b"0000",
        b"0001",
        b"0011command=fetch",
        b"command=",
        b"[::1]",
        b":443/",
        b"%00",
        b"@",
    ),
    longest=_MAX_LENGTH,
)
