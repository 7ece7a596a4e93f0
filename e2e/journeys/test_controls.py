"""The tests' own footing: what they rely on is so, and without Airlock nothing gets through."""

import sys
from itertools import permutations
from pathlib import Path

from e2e.world.command import run
from e2e.world.container import Setup
from e2e.world.images import Images
from e2e.world.keys import KeyPair, find_runs
from e2e.world.reach import command_line
from e2e.world.scene import Stage


def test_busybox_has_no_libc_and_no_git(images: Images) -> None:
    """The image in which the shim has to do without anything has one program and no library."""
    bare = Setup(image=images.busybox, mounts={})
    files = bare.run("find", "/", "-xdev", "-type", "f", cwd="/").succeeded().stdout.splitlines()
    assert "/bin/busybox" in files
    assert not [name for name in files if "libc" in name or name.endswith("/git")]


def test_the_search_finds_a_key_that_is_there(
    user_stage: Stage, other_key: KeyPair, images: Images
) -> None:
    """A key in a container's file system, or any 20 bytes of its secret, would be noticed."""
    key = user_stage.key
    with Setup(image=images.busybox, mounts={}).running() as client:
        clean = client.read_changes()
        client.run("tee", "/tmp/key", cwd="/", stdin=key.private).succeeded()
        dirty = client.read_changes()
    assert find_runs(key, unlike=other_key, data=clean) == []
    assert find_runs(key, unlike=other_key, data=dirty)
    secret = key.forms()[1][-60:]
    for start in range(len(secret) - 20):
        assert find_runs(key, unlike=other_key, data=b"x" + secret[start : start + 20] + b"x")
    assert find_runs(key, unlike=other_key, data=secret[:19]) == []


def test_the_search_takes_no_other_key_for_it(ground: Path) -> None:
    """An image has keys of its own: what all keys begin with is not a piece of this one."""
    keys = [KeyPair.make(ground / f"key_{number}") for number in range(12)]
    for key, unlike, there in permutations(keys, 3):
        assert find_runs(key, unlike=unlike, data=b"".join(there.forms())) == []


def test_an_ordinary_account_runs_what_lies_in_a_closed_directory(
    user_stage: Stage, ground: Path
) -> None:
    """A daemon installed below root's home can be tested as a user, who sees only what it needs."""
    closed = ground / "closed"
    for folder in (closed, closed / "bin", closed / "private"):
        folder.mkdir()
    closed.chmod(0o700)
    program = closed / "bin" / "program"
    program.write_text(
        f"#!{sys.executable}\nimport os\nprint(os.getuid(), os.listdir({str(closed)!r}))\n"
    )
    program.chmod(0o755)
    said = run(command_line(program, user_stage.account), cwd="/").succeeded().stdout
    assert said == f"{user_stage.account.uid} ['bin']"
