"""What a box takes of the host: processes, and memory as files; others are served meanwhile."""

from collections.abc import Iterator
from functools import partial

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.run import why_not
from e2e.canary.boxes.scene import BoxScene
from e2e.canary.scene import hear
from e2e.world.lines import make_request

FORKS = 20_000
GIB = 10
# What a box may have: `box_processes`, and the sizes of what is in memory of a box.
_PROCESSES = 1024
_MIB = 512

_FORK = f"""
import os, signal
made = 0
for _ in range({FORKS}):
    try:
        pid = os.fork()
    except OSError:
        continue
    if pid == 0:
        signal.pause()
    made += 1
    if made > {_PROCESSES}:
        break
print('tried', flush=True)
open(0).read()
print('GO' + 'T: more processes than a box may have' if made > {_PROCESSES} else made)
"""
_FILL = f"""
import os
piece, kept, number = bytes(1 << 20), 0, 0
places = ['/tmp', '/dev/shm', '/run', '/dev', os.environ['HOME'], '/']
for _ in range({GIB} << 10):
    while places:
        try:
            with open(f'{{places[0]}}/{{number}}', 'ab') as file:
                kept += file.write(piece)
            break
        except OSError as error:
            # The file may be as large as one can be, or the place full.
            number += 1
            if error.errno != 27:
                places.pop(0)
    if kept >> 20 > {_MIB}:
        break
print('tried', flush=True)
open(0).read()
print(f'GO' + f'T: {{kept >> 20}} MiB' if kept >> 20 > {_MIB} else kept >> 20)
"""


def _take(scene: BoxScene, *, code: str) -> bytes:
    """Have a box take all that it gets; another agent has its command done while it does."""
    with scene.connect() as client:
        here = scene.fill("<here>")
        client.send(make_request("python3", "-c", code, cwd=here, features=["stdin"]))
        client.await_output("tried")
        others = scene.run("sh", "-c", "true && echo served", agent="other", cwd="<other>")
        client.half_close()
        seen = hear(client)
    return seen + (b"" if b"served" in others else b"\nGOT: others are not served\n" + others)


_LEFT = {
    f"{FORKS} forks": "Landlock has processes counted with all others of the user",
    f"{GIB} GiB of files": "Landlock has no directories of its own: the home is one of the host",
}


def _attacks() -> Iterator[Attack]:
    for (name, known), code in zip(_LEFT.items(), (_FORK, _FILL), strict=True):
        run = partial(_take, code=code)
        yield Attack(name, "box-bounds", run, True, only="bubblewrap")
        yield Attack(name, "box-bounds", run, known=known, only="landlock")


FAMILY = Family("box-bounds", tuple(_attacks()), why_not)
