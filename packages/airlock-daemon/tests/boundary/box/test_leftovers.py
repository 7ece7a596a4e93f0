"""No success throws files away unseen: what a tool leaves where nothing is kept is told."""

import os
import stat
from collections.abc import Iterator

import pytest

import shared_fixtures
from airlock_daemon.boundary.box.launch import Leftover, decode_leftovers, find_losses
from boxing import CLOSED, box_identity, needs_bubblewrap, open_world, write_boxes
from running import Daemon
from talking import ALL, Talk
from worlds import World

world = shared_fixtures.mapped

_WORDS = "was written where nothing is kept; write to the workspace instead"
_MAKE = "git init -q . && git -c user.name=A -c user.email=a@b commit -q --allow-empty -m first"


def warn(*paths: str) -> str:
    return "".join(f"airlock: warning: {path} {_WORDS}\n" for path in paths)


@pytest.fixture
def daemon(world: World) -> Iterator[Daemon]:
    """With git, which is built in, a shell, and a Python, each in a closed box."""
    world.write_module("sh", "/bin/sh", CLOSED)
    with Daemon(world) as daemon:
        made = daemon.shell(_MAKE, cwd="/workspace")
        assert made.exit_code == 0, made.messages
        yield daemon


@needs_bubblewrap
@pytest.mark.parametrize(
    ("words", "path"),
    [
        (["clone", "-q", ".", "/tmp/copy"], "/tmp/copy"),
        (["clone", "-q", ".", "../tmp/copy"], "/tmp/copy"),
        (["archive", "-o", "/tmp/x.tar", "HEAD"], "/tmp/x.tar"),
        (["archive", "--output=/tmp/x.tar", "HEAD"], "/tmp/x.tar"),
        (["bundle", "create", "-q", "/tmp/b", "HEAD"], "/tmp/b"),
        (["worktree", "add", "-q", "/tmp/wt"], "/tmp/wt"),
        (["format-patch", "-q", "-o", "/tmp/patches", "--root", "HEAD"], "/tmp/patches"),
        (["config", "--global", "user.name", "Ada"], "/home/airlock/.gitconfig"),
        (["config", "--file", "/tmp/settings", "user.name", "Ada"], "/tmp/settings"),
    ],
)
def test_what_git_writes_outside_of_the_workspace_is_told(
    daemon: Daemon, words: list[str], path: str
) -> None:
    """At its end, on stderr. The exit status is git's own."""
    answer = daemon.ask("git", *words, cwd="/workspace")
    assert answer.text("stderr") == warn(path)
    assert answer.exit_code == 0


@needs_bubblewrap
@pytest.mark.parametrize(
    "script",
    [
        "echo x > /tmp/x; rm /tmp/x",
        "mktemp > /dev/null; mktemp -d > /dev/null",
        "mkdir -p ~/.cache/tool ~/.aws/cli; echo x > ~/.cache/tool/x",
        "umask 077; mkfifo /tmp/pipe; echo x > /tmp/own",
        "touch ~/.python_history ~/.lesshst; mkdir /tmp/node-compile-cache /tmp/.dotnet",
        "echo x > /tmp/../workspace/x",
        "exit 3",
    ],
)
def test_what_tools_make_for_themselves_is_not(daemon: Daemon, script: str) -> None:
    """Temporary files, caches, histories, and what is removed in time."""
    (daemon.world.workspace / "script").write_text(script)
    answer = daemon.ask("sh", "script", cwd="/workspace")
    assert answer.text("stderr") == ""


@needs_bubblewrap
def test_what_a_script_leaves_for_others_is(daemon: Daemon) -> None:
    """No argument names it, and it is neither a temporary file nor a cache."""
    (daemon.world.workspace / "script").write_text("echo x > /tmp/report; echo x > ~/.npmrc\n")
    answer = daemon.ask("sh", "script", cwd="/workspace")
    assert answer.text("stderr") == warn("/home/airlock/.npmrc", "/tmp/report")


@needs_bubblewrap
def test_an_argument_that_names_it_counts(daemon: Daemon) -> None:
    """However private the file is."""
    script = 'umask 077; echo x > "$1"; exit 4'
    answer = daemon.ask("sh", "-c", script, "sh", "/tmp/private", cwd="/workspace")
    assert answer.text("stderr") == warn("/tmp/private")
    assert answer.exit_code == 4


@needs_bubblewrap
def test_what_was_mounted_there_before_is_no_loss(world: World) -> None:
    """A container may have its workspace in /tmp: what is written to it stays."""
    world.write_module("sh", "/bin/sh", CLOSED)
    world.write_profile(f'[workspace]\nmounts = {{ "/tmp/work" = "{world.workspace}" }}\n')
    with Daemon(world) as daemon:
        kept = daemon.shell("echo x > kept", cwd="/tmp/work")
        lost = daemon.shell("echo x > ../lost", cwd="/tmp/work")
    assert kept.text("stderr") == ""
    assert (world.workspace / "kept").read_text() == "x\n"
    assert lost.text("stderr") == warn("/tmp/lost")


@needs_bubblewrap
def test_boxes_that_were_made_ahead_tell_it_too(daemon: Daemon) -> None:
    """Of their own command alone."""
    for number in range(4):
        answer = daemon.shell(f"echo x > /tmp/{number}", cwd="/workspace")
        assert answer.text("stderr") == warn(f"/tmp/{number}")


@needs_bubblewrap
def test_it_is_told_whatever_way_the_output_takes(daemon: Daemon) -> None:
    """With descriptors that were passed to the tool, and on a terminal, in lines of its own."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        with Talk(
            daemon, "echo x > /tmp/x", ["fds"], descriptors=[null] * 3, cwd="/workspace"
        ) as talk:
            assert talk.result["exit_code"] == 0
        assert talk.output["stderr"].decode() == warn("/tmp/x")
    finally:
        os.close(null)
    terminal = {"term": "xterm", "rows": 5, "cols": 7, "stdin": True, "stdout": True}
    with Talk(
        daemon, "echo x > /tmp/x", ALL, tty=terminal | {"stderr": True}, cwd="/workspace"
    ) as talk:
        assert talk.result["exit_code"] == 0
    assert talk.output["stderr"].decode() == warn("/tmp/x").replace("\n", "\r\n")


@needs_bubblewrap
def test_names_cannot_mislead_and_are_not_too_many(daemon: Daemon) -> None:
    """Those of a client's choice are quoted, and the rest is counted."""
    answer = daemon.shell("printf x > \"$(printf '/tmp/\\033[2J\\nairlock: ')\"", cwd="/workspace")
    said = answer.text("stderr")
    assert said == warn('"/tmp/\\u{1b}[2J\\nairlock: "')
    answer = daemon.shell("cd /tmp; for n in 1 2 3 4 5 6 7 8 9; do :> $n; done", cwd="/workspace")
    assert (
        answer.text("stderr").splitlines()[-1]
        == "airlock: warning: so were 5 more; write to the workspace instead"
    )
    script = 'import os\nfor n in range(20000): open(f"/tmp/{n:0200}", "w").close()'
    answer = daemon.ask("sh", "-c", f"exec python3 -c '{script}'", cwd="/workspace")
    assert "more" in answer.text("stderr")
    assert answer.exit_code == 0


@needs_bubblewrap
def test_writes_to_the_humans_home_are_told() -> None:
    """A box of the class "home" has that home, and what is written there is lost with the box."""
    with open_world() as world:
        home = world.root / "home"
        home.mkdir()
        (home / "notes").write_text("old\n")
        for path in (home, home / "notes"):
            os.chown(path, box_identity().user, box_identity().group)
        write_boxes(world)
        world.write_module("sh", "/bin/sh", '[deny]\nargs = []\n[sandbox]\nbox = "home"\n')
        world.write_profile(f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}" }}\n')
        with Daemon(world, environment={"HOME": str(home)}) as daemon:
            answer = daemon.shell("cat ~/notes", cwd="/workspace")
            assert answer.text("stderr") == ""
            script = "echo new > ~/notes; mkdir ~/out ~/.cache; echo x > /tmp/x"
            answer = daemon.shell(script, cwd="/workspace")
        assert answer.text("stderr") == warn(f"{home}/notes", f"{home}/out", "/tmp/x")
        assert (home / "notes").read_text() == "old\n"


def test_a_message_that_was_cut_gives_what_is_whole() -> None:
    """Nothing is made of its rest."""
    entry = (stat.S_IFREG | 0o644).to_bytes(4, "little") + b"/tmp/\xff\0"
    whole = Leftover("/tmp/\udcff", stat.S_IFREG | 0o644)
    assert decode_leftovers(b"L\0\0\0" + entry * 2) == (whole, whole)
    for cut in range(len(entry)):
        assert decode_leftovers(b"L\0\0\0" + entry + entry[:cut]) == (whole,)
    assert '"/tmp/\\xff"' in "".join(find_losses((whole,), ()))


@pytest.mark.parametrize("place", ["/tmp", "/tmp/airlock-box"])
def test_many_words_and_many_names_take_no_more_than_their_sum(place: str) -> None:
    """The event loop of all agents waits for it: to compare each with each would take hours."""
    names = tuple(Leftover(f"{place}/{n:06}", stat.S_IFREG | 0o600) for n in range(10_000))
    words = [f"{place}/{n:06}x" for n in range(100_000)]
    long = f"{place}/" * 1_000_000
    assert list(find_losses(names, [*words, long])) == []
    (told,) = find_losses(names, [*words, long, f"--output={place}/009999"])
    assert told == f"warning: {place}/009999 {_WORDS}"


@pytest.mark.parametrize(
    "word",
    [
        "/tmp/x",
        "/tmp/x/",
        "/tmp/x/below",
        "-o/tmp/x",
        "--output=/tmp/x",
        "file:///tmp/x?a=b",
        "umask 077; echo y > /tmp/x; exit",
        "'/tmp/x'",
        "/tmp/y:/tmp/x:/tmp/z",
    ],
)
def test_a_word_names_it_in_many_ways(word: str) -> None:
    """What is private counts if it is named, and a longer name is another one."""
    private = Leftover("/tmp/x", stat.S_IFREG | 0o600)
    assert list(find_losses((private,), ("sh", word))) == [f"warning: /tmp/x {_WORDS}"]
    assert list(find_losses((private,), ("sh", word.replace("x", "xx")))) == []
    odd = Leftover("/tmp/a b:c", stat.S_IFREG | 0o600)
    assert len(list(find_losses((odd,), ("sh", "/tmp/a b:c")))) == 1
