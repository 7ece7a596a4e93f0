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

INSECURE = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
"""For containers: they are not asked whom they trust, only whether they have a credential."""


def test_the_person_at_the_host_can_push(user_stage: Stage) -> None:
    """With the key at home a push from the host arrives, by that key."""
    scene = user_stage.scene(start=False)
    scene.project.git("push", "origin", "main").succeeded()
    assert scene.project.repository.commit("main") == scene.project.head()
    assert scene.project.repository.keys_used() == [user_stage.key.public]


def test_without_the_key_the_person_cannot_push(user_stage: Stage) -> None:
    """The server refuses somebody who shows no key that it knows."""
    scene = user_stage.scene(start=False)
    pushed = scene.project.git("-c", "core.sshCommand=ssh -i /dev/null", "push", "origin", "main")
    assert pushed.exit_code == 128
    assert "Permission denied (publickey)" in pushed.stderr
    assert scene.project.repository.commit("main") is None


def test_only_airlock_lets_a_container_without_a_key_push(user_stage: Stage) -> None:
    """Its own git and ssh reach the server and are refused; with the shim it gets through."""
    scene = user_stage.open_remotes()
    repository = scene.project.repository
    with scene.own_git(scene.images.debian).running() as client:
        plain = {"GIT_SSH_COMMAND": f"/usr/bin/ssh {INSECURE}"}
        there = repository.url_from_containers
        pushed = client.run("git", "push", there, "main", env=plain)
        assert pushed.exit_code == 128
        assert "Permission denied (publickey)" in pushed.stderr
        assert repository.commit("main") is None
        client.run("git", "push", "origin", "main").succeeded()
    assert repository.commit("main") == scene.project.head()


def test_a_container_with_the_key_can_push(user_stage: Stage) -> None:
    """With the key mounted its own git gets through, so the key is all that it lacked."""
    scene = user_stage.scene(start=False)
    mounts = {"/workspace": (scene.project.path, "rw"), "/key": (user_stage.key.path, "ro")}
    setup = Setup(image=scene.images.debian, mounts=mounts)
    repository = scene.project.repository
    setup.run(*_own_git(repository.url_from_containers, f"{INSECURE} -i /key")).succeeded()
    assert repository.commit("main") == scene.project.head()


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


def _own_git(url: str, options: str) -> list[str]:
    """Return a push by the image's own git, with its own ssh, to `url`."""
    settings = {"safe.directory": "*", "core.sshCommand": f"/usr/bin/ssh {options}"}
    chosen = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
    return ["/usr/bin/git", *chosen, "push", url, "main"]
