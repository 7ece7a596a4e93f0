"""Commands in a closed box, by a running daemon: what they are, see, and leave behind."""

import shared_fixtures
from boxing import check_a_command, needs_bubblewrap
from running import Daemon
from talking import ALL, Talk
from worlds import World

pytestmark = needs_bubblewrap

world = shared_fixtures.boxed


def test_a_command_runs_in_the_workspace_and_its_files_stay(world: World) -> None:
    """It has the client's path, its output and status come back, and its record names the box."""
    check_a_command(world, box="bubblewrap")


def test_arguments_of_any_length_and_bytes_arrive(world: World) -> None:
    """Those that are too long for one message too."""
    with Daemon(world) as daemon:
        answer = daemon.ask("sh", "-c", 'echo ${#1}; printf %s "$2"', "x", "y" * 100_000, "ä\n ")
    assert answer.text() == "100000\nä\n "


def test_nothing_that_a_broker_uses_gets_in(world: World) -> None:
    """Whoever names it: the module, the profile, or the daemon's own environment."""
    world.write_module(
        "sh",
        "/bin/sh",
        '[deny]\nargs = []\n[env]\ninherit = ["SSH_AUTH_SOCK", "KEPT"]\n'
        'set = { AWS_PROFILE = "secret", SET = "yes" }\n[sandbox]\nbox = "closed"\n',
    )
    variables = 'GIT_SSH_COMMAND = "ssh -i secret", MINE = "yes"'
    world.write_profile(f"[workspace]\nhost = true\n[env]\nset = {{ {variables} }}\n")
    environment = {"SSH_AUTH_SOCK": "/secret", "KEPT": "yes", "HTTPS_PROXY": "http://secret"}
    with Daemon(world, environment=environment) as daemon:
        said = daemon.shell("env").text()
    assert "secret" not in said
    assert {"KEPT=yes", "SET=yes", "MINE=yes"} <= set(said.splitlines())


def test_a_program_that_is_not_there_is_told_as_such(world: World) -> None:
    """The kernel's own answer, from inside of the box."""
    script = world.root / "opt" / "bin" / "tool"
    script.parent.mkdir(parents=True)
    script.write_text("#!/nowhere\n")
    script.chmod(0o755)
    world.write_module("sh", str(script), '[deny]\nargs = []\n[sandbox]\nbox = "closed"\n')
    with Daemon(world) as daemon:
        assert "cannot be executed" in daemon.ask("sh").error["message"]


def test_a_terminal_of_the_client_is_the_tools_own(world: World) -> None:
    """It is its controlling terminal, and ^C reaches the tool alone, which may trap it."""
    script = "trap 'echo caught; exit 5' INT; test -t 0 && echo up > /dev/tty;"
    script += " while :; do sleep 0.05; done"
    terminal = {"term": "xterm", "rows": 5, "cols": 7}
    terminal |= {"stdin": True, "stdout": True, "stderr": True}
    with Daemon(world) as daemon, Talk(daemon, script, ALL, tty=terminal) as talk:
        talk.start()
        talk.until(b"up")
        talk.type(b"\x03")
        assert talk.result["exit_code"] == 5
    assert b"caught" in talk.output["stdout"]
