"""A container that mounts, unmounts and swaps in its workspace, while boxes are made of that."""

import os
import shutil

import pytest
from e2e.world.need import need
from e2e.world.scene import UNMAPPED, Stage

_MODULE = '[command]\nbin = "/bin/sh"\n[deny]\nargs = []\n[sandbox]\nbox = "closed"\n'
_SECRET = "canary-5d1e"

# Of each swap in a run of the tests; `CANARY_TRIES` says how many there are in a long one.
_TRIES = int(os.environ.get("CANARY_TRIES", "25"))

# Root of a container that may mount: more than docker gives.
_MAY_MOUNT = (
    "--cap-add=SYS_ADMIN",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
)

# Each is done again and again, beside the commands.
_SWAPS = {
    "the source of a mount is a link": """
        mount --bind x lib; mv x away; ln -s {private} x; umount lib; rm x; mv away x""",
    "the source of a mount is removed": """
        mount --bind x lib; mv x/in x/out; mount --bind x/out deep; rm -r x/none; umount deep
        umount lib; mv x/out x/in""",
    "a mount point is a link, for another namespace": """
        mount --bind x lib; unshare -m sh -c 'umount lib; mv lib away; ln -s {private} lib'
        rm lib; mv away lib; umount lib""",
    "a mount point is a link above": """
        mount --bind x deep/in
        unshare -m sh -c 'umount deep/in; mv deep away; ln -s {private} deep'
        rm deep; mv away deep; umount deep/in""",
    "mounts over one another": """
        mount --bind x lib; mount -t tmpfs none lib; mount --bind deep lib; umount lib; umount lib
        umount lib""",
    "moved mounts": """
        mount -t tmpfs none lib; mkdir -p lib/in; mount --bind x lib/in; mount --move lib deep
        umount deep/in; umount deep""",
}
_LOOK = (
    "cat lib/* lib/in/* x/* x/in/* deep/* deep/in/*; for d in lib x deep; do echo x > $d/made; done"
)


_FOLDERS = ("lib", "x", "x/in", "deep", "deep/in")


@pytest.mark.parametrize("swap", _SWAPS)
def test_what_a_container_mounts_and_swaps_leads_nowhere(user_stage: Stage, swap: str) -> None:
    """A box shows what the container has, or is refused; nothing else of the host is in it."""
    need(None if shutil.which("bwrap") else "there is no bubblewrap")
    scene = user_stage.scene(profile=UNMAPPED, commands=(), modules={"git": _MODULE})
    account, path = user_stage.account, scene.project.path
    private = path.with_name(f"{path.name}-private")
    for folder in (private, private / "in", *(path / name for name in _FOLDERS)):
        account.make_directory(folder)
        account.write(
            folder / "file", f"{_SECRET}\n" if folder.is_relative_to(private) else "own\n"
        )
    setup = scene.setup(scene.images.busybox, *_MAY_MOUNT)
    again = f"cd /workspace; while [ ! -e over ]; do {_SWAPS[swap]}\ndone"
    with setup.running() as client:
        swapping = client.start("sh", "-c", again.format(private=private))
        try:
            many = f"i=0; while [ $i -lt {_TRIES} ]; do git -c '{_LOOK}'; i=$((i+1)); done; true"
            said = client.run("sh", "-c", many).succeeded()
        finally:
            client.run("touch", "over").succeeded()
            swapping.wait()
    assert _SECRET not in said.stdout + said.stderr
    assert "own" in said.stdout or 'the container has a mount at "/workspace/' in said.stderr
    assert not list(private.rglob("made"))
