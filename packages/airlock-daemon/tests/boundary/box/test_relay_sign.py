"""git in a closed box signs over the relay, where its agent is granted that."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path

import pytest
from relay_world import in_box, relay_world

import shared_fixtures
from approving import wait_for_questions
from boxing import needs_bubblewrap
from commanding import reload, run
from running import Answer, Daemon, read_answer, read_until, request
from worlds import World

pytestmark = needs_bubblewrap

BROKERS = 'brokers = ["git", "sign"]\n'
GRANTED = '["sh", "python", "git-remote", "git-sign"]'
PROFILE = '[workspace]\nhost = true\n[sign]\nemails = ["a@example.com"]\n'
cgroup = shared_fixtures.cgroup

UNSHARE = ("unshare", *(["--map-root-user"] if os.geteuid() else []), "--mount", "--pid", "--fork")
COMMIT = "git init -q -b main {name} && cd {name} && git commit -q --allow-empty -S -m subject"


@contextmanager
def sign_world(more: str = "") -> Iterator[World]:
    """The world, whose human has a key."""
    with relay_world(more, box=BROKERS) as world:
        config = world.config / "config.toml"
        config.write_text(config.read_text().replace('"git-remote"', '"git-remote", "git-sign"'))
        world.write_profile(PROFILE, commands=GRANTED)
        home = world.root / "home"
        home.mkdir()
        words = ("-q", "-t", "ed25519", "-N", "", "-f", home / "key")
        subprocess.run(["ssh-keygen", *words], check=True)
        (home / ".gitconfig").write_text(
            "[gpg]\n\tformat = ssh\n[user]\n\tsigningKey = ~/key.pub\n\temail = a@example.com\n"
        )
        yield world


@contextmanager
def running(world: World) -> Iterator[Daemon]:
    """Run the daemon in the workspace."""
    environment = {"HOME": str(world.root / "home"), "SSH_AUTH_SOCK": ""}
    with chdir(world.workspace), Daemon(world, environment=environment) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """The daemon runs; each test has directories of its own."""
    with sign_world() as world, running(world) as daemon:
        yield daemon


def test_another_address_is_refused_in_the_box_s_git(daemon: Daemon) -> None:
    """The commit is not made."""
    answer = in_box(daemon, COMMIT.format(name="two").replace("-S", "-S --author='b <b@b.b>'"))
    assert answer.exit_code != 0
    assert 'airlock: a commit with the author "b@b.b" is not signed' in answer.text("stderr")
    assert daemon.records("broker")[-1]["rule"] == "sign.authors"


def test_nothing_but_a_commit_is_signed_for_a_box(daemon: Daemon) -> None:
    """Whatever the shim is called with there."""
    answer = in_box(daemon, "echo x | /run/airlock/git-sign ssh")
    assert (answer.exit_code, answer.text()) == (126, "")
    answer = in_box(daemon, "/run/airlock/git-sign ssh-key")
    assert answer.text().startswith("key::ssh-ed25519 ")


def test_an_agent_without_git_sign_has_it_in_no_box() -> None:
    """The built-in git lets its box ask, and the profile decides."""
    with sign_world() as world:
        world.write_profile(PROFILE, commands='["sh", "python", "git-remote"]')
        notes = [each for each in world.load().warnings if each.key == "sandbox.brokers"]
        assert {Path(each.source).stem for each in notes} == {"sh", "python"}
        assert all("does not grant git-sign" in each.problem for each in notes)
        with running(world) as daemon:
            answer = in_box(daemon, "ls /run/airlock; git config --get gpg.ssh.program")
    assert "git-sign" not in answer.text()


def test_a_reload_takes_signing_from_a_box_that_runs() -> None:
    """The next request over its relay is refused."""
    with sign_world() as world, running(world) as daemon, daemon.connect() as connection:
        wait = "while ! [ -e go ]; do sleep 0.01; done"
        script = f"echo ready; {wait}; /run/airlock/git-sign ssh-key"
        connection.sendall(request("sh", "-c", script, cwd=str(world.workspace)))
        read_until(connection, "ready")
        world.write_profile(PROFILE, commands='["sh", "python", "git-remote"]')
        assert reload(world).returncode == 0
        (world.workspace / "go").touch()
        answer = read_answer(connection)
    assert answer.exit_code == 126
    assert "the profile of this agent does not grant it" in answer.text("stderr")


def test_a_signature_for_a_box_waits_for_a_person() -> None:
    """The client is that of the box's command."""
    with sign_world() as world:
        world.write_profile(f'{PROFILE}[approve]\nrequire = ["sign *"]\n', commands=GRANTED)
        with running(world) as daemon, ThreadPoolExecutor() as pool:
            waiting = pool.submit(in_box, daemon, COMMIT.format(name="one"))
            (question,) = wait_for_questions(world)
            assert question["client"] == f"process {os.getpid()}"
            run(world, "approve", question["id"])
            answer = waiting.result()
            record = daemon.records("broker")[-1]
    assert answer.exit_code == 0, answer.text("stderr")
    assert record["approval"]["id"] == question["id"]


CLIENT = """
import os, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    connection.sendall(sys.argv[2].encode())
    while piece := connection.recv(65536):
        os.write(1, piece)
"""
# Runs its arguments behind a root of their own, with these directories of the host and no others.
ISOLATE = """
echo 0 > "$1/cgroup.procs"; shift
root=$1; shift
mount -t tmpfs none "$root"
while [ "$1" != -- ]; do mkdir -p "$root/$1"; mount --rbind "$1" "$root/$1"; shift; done
shift
mkdir "$root/proc" "$root/old"
mount -t proc proc "$root/proc"
cd "$root"
pivot_root . old
umount -l old
exec "$@"
"""


def test_the_host_s_engine_is_no_client_s_in_a_container(tmp_path: Path, cgroup: Path) -> None:
    """A container that no engine attests has the socket of none, nor has what runs for it."""
    with sign_world() as world, socket.socket(socket.AF_UNIX) as engine, ExitStack() as stack:
        engine.bind(str(tmp_path / "engine"))
        here = world.workspace
        mounts = f'[workspace]\nmounts = {{ "{here}" = "{here}" }}\n'
        world.write_profile(PROFILE.replace("[workspace]\nhost = true\n", mounts), commands=GRANTED)
        stack.enter_context(chdir(here))
        environment = {
            "HOME": str(world.root / "home"),
            "SSH_AUTH_SOCK": "",
            "DOCKER_HOST": f"unix://{tmp_path / 'engine'}",
        }
        daemon = stack.enter_context(Daemon(world, environment=environment))
        (world.root / "root").mkdir()
        system = [each for each in ("/usr", "/bin", "/lib", "/lib64") if os.path.isdir(each)]
        shown = [*system, sys.base_prefix, str(here), os.path.dirname(world.socket)]
        line = request("sh", "-c", "/run/airlock/git-sign ssh-key", cwd=str(here)).decode()
        words = [
            str(cgroup),
            str(world.root / "root"),
            *shown,
            "--",
            os.path.realpath(sys.executable),
            "-c",
            CLIENT,
        ]
        asked = subprocess.run(
            [*UNSHARE, "sh", "-ec", ISOLATE, "sh", *words, world.socket, line],
            capture_output=True,
            check=False,
            timeout=60,
        )
        answer = Answer([json.loads(each) for each in asked.stdout.splitlines()])
        assert answer.text().startswith("key::ssh-ed25519 "), (asked.stderr, daemon.messages())
