"""``python -m e2e.hostile.many_mounts SOCKET PLACE``: a client with far more mounts than it needs.

It is in mount and pid namespaces of its own, as in a container that may mount. It prints the rule
by which its request is refused. Needs root.
"""

import os
import sys

from e2e.hostile import fuse
from e2e.world.client import Client
from e2e.world.lines import make_request

_CLONE_NEWNS, _CLONE_NEWPID = 0x20000, 0x20000000
_MS_BIND, _MS_REC_PRIVATE = 0x1000, 0x4000 | 0x40000
_COUNT = 12_000


def main(path: str, place: str) -> None:
    """Mount the directory PLACE over itself again and again, and ask for a command."""
    fuse.call("unshare", _CLONE_NEWNS | _CLONE_NEWPID)
    fuse.call("mount", None, b"/", None, _MS_REC_PRIVATE, None)
    for _ in range(_COUNT):
        fuse.call("mount", place.encode(), place.encode(), None, _MS_BIND, None)
    child = os.fork()
    if child == 0:
        with Client(path) as client:
            client.send(make_request("true"))
            print(client.await_error(-32600)["data"]["rule"], flush=True)
            os._exit(0)
    os.waitpid(child, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
