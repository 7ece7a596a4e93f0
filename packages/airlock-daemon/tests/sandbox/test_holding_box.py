"""What a box with credentials is given: all that its module names, fetched outside, and no more."""

import os
import socket
import tempfile
from pathlib import Path

import pytest

import shared_fixtures
from airlock_daemon.setup.checking import check_files
from boxing import PYTHON, box_identity, box_uid, needs_bubblewrap, write_boxes
from holding import HOLDING, SECRET, hold, refusal, run, serve
from running import read_answer, request
from worlds import World

pytestmark = needs_bubblewrap

home = shared_fixtures.home
world = shared_fixtures.mapped


def test_files_are_in_the_fresh_home_for_the_boxs_user_alone(world: World, home: Path) -> None:
    """With the directories on the way; nothing else of the human's home is there."""
    hold(world, 'files."~/.config/tool/config" = "~/.tool/config"')
    look = "cd ~; stat -c '%a %u %n' .config .config/tool .config/tool/config; "
    with serve(world, home) as daemon:
        said = run(daemon, f"{look}cat .config/tool/config; echo; ls -A ~ {home}")
        record = daemon.records()[-1]
    uid = box_uid()
    assert said.splitlines() == [
        f"700 {uid} .config",
        f"700 {uid} .config/tool",
        f"400 {uid} .config/tool/config",
        SECRET,
        f"ls: cannot access '{home}': No such file or directory",
        "/home/airlock:",
        ".config",
    ]
    assert record["sandbox"] == "holding, bubblewrap"


def test_files_can_be_elsewhere_and_what_is_not_there_be_missing(world: World, home: Path) -> None:
    """Where the entry says so, or names the file by a variable of the daemon."""
    hold(
        world,
        """
        files."/etc/tool/key" = "${TOOL_KEY:-~/.none}"
        files."/var/lib/tool/key" = "${NO_KEY:-~/.tool/config}"
        files."~/a" = "${NO_KEY}?"
        files."~/b" = "~/.none?"
        files."~/c" = "~/.tool/config/none?"
        """,
    )
    with serve(world, home, TOOL_KEY=str(home / ".other")) as daemon:
        said = run(daemon, "cat /etc/tool/key; echo; cat /var/lib/tool/key; echo; ls -A ~")
    assert said.split("\n") == ["of another tool", SECRET, ""]


def test_a_command_is_asked_outside_of_the_box_in_an_empty_directory(
    world: World, home: Path
) -> None:
    """By the daemon, with its environment, without a shell, and anew for each command."""
    tool = home / "print"
    tool.write_text(
        "#!/bin/sh\nread line && exit 1\necho x >> ~/count\n"
        'echo "$1 $TOOL_STATE $(ls -A | wc -l)"\n'
    )
    tool.chmod(0o755)
    hold(
        world,
        """
        files."~/said" = ["~/print", "$HOME; echo"]
        env.SAID = ["~/print", "b"]
        """,
        more='[env]\nset = { PLAIN = "1" }\n',
    )
    with serve(world, home, TOOL_STATE="kept") as daemon:
        said = run(daemon, 'cat ~/said; echo "$SAID/$PLAIN/$TOOL_STATE"')
        run(daemon, "true")
    assert said.splitlines() == ["$HOME; echo kept 0", "b kept 0/1/"]
    assert (home / "count").read_text() == "x\n" * 4


def test_variables_are_those_that_are_named_and_no_other(world: World, home: Path) -> None:
    """Of those that brokers use too (AWS_*); the profile has the last word of what it sets."""
    hold(
        world,
        """
        env.AWS_PROFILE = "AWS_PROFILE?"
        env.AWS_KEY = "MY_KEY"
        env.AWS_NONE = "AWS_NONE?"
        """,
        more='[env]\nset = { AWS_PAGER = "" }\ninherit = ["AWS_SESSION_TOKEN"]\n',
    )
    world.write_profile(
        '[env]\nset = { AWS_PROFILE = "readonly", AWS_SECRET = "x" }\n[workspace]\n'
        f'mounts = {{ "/workspace" = "{world.workspace}" }}\n'
    )
    more = {"AWS_PROFILE": "admin", "MY_KEY": SECRET, "AWS_SESSION_TOKEN": "x"}
    with serve(world, home, **more, https_proxy="http://p:1") as daemon:
        said = run(daemon, "env | grep -Ei '^(aws|my|https)_' | sort")
    assert said.splitlines() == [f"AWS_KEY={SECRET}", "AWS_PAGER=", "AWS_PROFILE=readonly"]


def test_a_unix_socket_is_the_hosts_own(world: World, home: Path) -> None:
    """By a variable as the tools of engines have it; its user must be let in, as outside."""
    connect = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/tool.sock'); "
        "print(s.recv(9).decode())"
    )
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        Path(folder).chmod(0o755)
        server.bind(f"{folder}/sock")
        os.chmod(f"{folder}/sock", 0o666)
        server.listen()
        held = '[credentials]\nfiles."/run/tool.sock" = "${TOOL_HOST}"\n'
        world.write_module("git", PYTHON, f'{HOLDING}sockets = "unix"\n{held}')
        with (
            serve(world, home, TOOL_HOST=f"unix://{folder}/sock") as daemon,
            daemon.connect() as connection,
        ):
            connection.sendall(request("git", "-c", connect, cwd="/workspace"))
            with server.accept()[0] as accepted:
                accepted.sendall(b"hello")
            answer = read_answer(connection)
    assert answer.text() == "hello\n", answer.messages


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('files."~/a" = "~/.none"', 'hold "~/a", and there is no "HOME/.none" on the host'),
        ('files."~/a" = "~/.tool"', '"HOME/.tool" is no unix socket, and no file'),
        ('files."~/a" = "/dev/zero"', '"/dev/zero" is no unix socket, and no file'),
        ('files."~/a" = "~/large"', '"HOME/large" is no unix socket, and no file'),
        ('files."~/a" = "${UNSET}"', "the daemon has no variable UNSET"),
        ('files."~/a" = "${URL}"', "URL of the daemon names no file of this host"),
        ('files."~/a" = "CONFIG/config.toml"', "may not be in a box: it lies in the configur"),
        ('env.A = "UNSET"', 'hold "A", and the daemon has no variable UNSET'),
        ('env.A = ["no-such-program"]', '"no-such-program" is not an executable on the host'),
        ('env.A = ["sh", "-c", "tee /dev/fd/2 <~/.tool/config; exit 3"]', 'exit 3" ends with 3'),
        ('env.A = ["true"]', '"true" prints nothing'),
        ('env.A = ["echo"]', '"echo" prints nothing that a variable can be'),
        ('env.A = ["printf", "a\\\\0b"]', "prints nothing that a variable can be"),
        ('files."~/a" = ["yes"]', "yes did not answer in"),
        ('files."~/a" = ["head", "-c", "1048576", "/dev/zero"]', "prints 1 MiB or more"),
    ],
)
def test_what_cannot_be_had_refuses_the_command_by_name(
    world: World, home: Path, lines: str, problem: str
) -> None:
    """And shows nothing of what a file has or a program printed."""
    (home / "large").write_bytes(bytes(1 << 20))
    hold(world, lines.replace("CONFIG", str(world.config)))
    with serve(world, home, URL=f"tcp://user:{SECRET}@host") as daemon:
        rule, message = refusal(daemon)
        record = daemon.records()[-1]
        said = daemon.messages()
    assert rule == "credential"
    assert problem.replace("HOME", str(home)) in message, message
    assert record["outcome"] == "denied"
    assert SECRET not in f"{message} {said} {record}"


def test_no_box_that_holds_credentials_waits_for_a_command(world: World, home: Path) -> None:
    """What another command of the agent left ready has none, and is not used."""
    world.write_module("git", "/bin/sh", HOLDING.replace('programs = ["*"]\n', ""))
    hold(world, 'files."~/a" = "~/.tool/config"')
    with serve(world, home) as daemon:
        for _ in range(3):
            assert daemon.ask("git", "-c", "ls -A ~", cwd="/workspace").text() == ""
            assert run(daemon, "cat ~/a") == SECRET
        (home / ".tool" / "config").write_text("another")
        assert run(daemon, "cat ~/a") == "another"


def test_landlock_is_no_box_for_credentials(world: World, home: Path) -> None:
    """It has no network namespace, and no home of its own."""
    write_boxes(world, mode="landlock")
    hold(world, 'files."~/a" = "~/.tool/config"')
    with serve(world, home) as daemon:
        error = daemon.shell("true", cwd="/workspace").error
        daemon.stop()
        assert "warning: sh: refused, since Landlock makes no box that has" in daemon.messages()
    assert error["data"]["rule"] == "no-box"
    assert "needs one that bubblewrap makes" in error["message"]
    # It is there, and was not asked.
    assert "install" not in error["data"]["hint"]
    assert 'mode = "auto"' in error["data"]["hint"]
    found = [each.problem for each in check_files(world.locations).findings if each.name == "box"]
    assert found == ["cannot be made by Landlock, so the command is refused"]


def test_a_person_is_told_what_a_box_holds(world: World, home: Path) -> None:
    """By check; at the start in short."""
    hold(world, 'files."~/a" = "~/.tool/config"\nenv.TOKEN = "HOME"')
    told = "the box of sh has credentials in it (holding)"
    (note,) = [each for each in check_files(world.locations).notes if each.name == "box"]
    assert note.problem == told
    assert note.remedy.endswith(
        ": it has TOKEN, ~/a; it reaches nothing; it may execute whatever it sees, in the "
        "workspace too"
    )
    with serve(world, home) as daemon:
        daemon.stop()
        assert told in daemon.messages()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_daemon_of_root_reads_for_the_user_of_its_boxes(world: World, home: Path) -> None:
    """Who cannot read the human's home, and has a copy."""
    assert box_identity().user != 0
    hold(world, 'files."~/a" = "~/.tool/config"')
    with serve(world, home) as daemon:
        assert run(daemon, "cat ~/a; id -u") == f"{SECRET}{box_uid()}\n"
