"""``python -m e2e.hostile.dead_directory PLACE [mute]``: a directory in which no name is answered.

As a network file system whose server is gone, or one that is mounted when somebody looks; a mute
one tells nothing of itself either. It is there until stdin ends. Needs root and /dev/fuse.
"""

import os
import sys

from e2e.hostile import fuse

_MNT_DETACH = 2


def main(place: str, how: str = "") -> None:
    """Mount it, say so on stdout, and take it away at last, also from those that wait for it."""
    device = fuse.mount(place)
    try:
        print("mounted", flush=True)
        fuse.serve(device, files=False, is_mute=how == "mute")
    finally:
        os.close(device)
        fuse.call("umount2", place.encode(), _MNT_DETACH)


if __name__ == "__main__":
    main(*sys.argv[1:])
