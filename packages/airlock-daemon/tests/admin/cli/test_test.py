"""`airlock test`."""

import json

import pytest

from commanding import run
from running import Daemon
from worlds import BOX_USER, UNSAID, World

HOME = '[sandbox]\nbox = "home"\n'
# Of a command without a box, whose paths are the host's.
PATHS = """
[syntax]
subcommands = 1
path_flags = ["-C"]
path_words = ["diff"]
[deny]
args = []
"""


def test_test_decides_without_a_daemon(world: World) -> None:
    """Every word after the agent's name is the tool's, also one that is an option of ours."""
    world.write_module("sh", "/bin/sh", '[deny]\nargs = ["--agents"]\n')
    said = run(world, "test", "my", "sh", "--json", "-c", "x").stdout
    assert "\noperation: sh --json -c x\n" in said
    assert "allowed" in said
    said = run(world, "test", "my", "sh", "--agents", "x", status=1).stdout
    assert "denied" in said
    assert "--agents" in said
    assert "none is running" in said
    assert "unknown command: make" in run(world, "test", "my", "make", status=1).stdout


def test_test_asks_the_running_daemon(world: World) -> None:
    """An answer that differs from the files is a failure, since the daemon has older ones."""
    with Daemon(world):
        assert "daemon: allowed" in run(world, "test", "my", "sh", "--bad").stdout
        world.write_module("sh", "/bin/sh", '[deny]\nargs = ["--bad"]\n')
        done = run(world, "test", "my", "sh", "--bad", status=1)
        assert done.stderr == (
            "airlock: the running daemon decides otherwise\nairlock: hint: airlock reload\n"
        )


def test_a_daemon_that_cannot_know_the_client_either_agrees(world: World) -> None:
    """It refuses a path that no profile maps; in the client's container it may well be mapped."""
    world.write_module("sh", "sh", PATHS)
    with Daemon(world):
        done = run(world, "test", "my", "sh", "-C", "/elsewhere", "status")
        assert 'daemon: denied: "' in done.stdout
        assert "allowed, as far as can be told without the client\n" in done.stdout
        assert done.stderr == ""
        said = run(world, "test", "my", "sh", "-C", "~/x", "status", status=1).stdout
        assert "daemon: denied in the same words\n" in said


def test_test_explains(world: World) -> None:
    """The arguments as they are read, each layer, the rule, and the reason for it."""
    said = run(world, "test", "my", "git", "-C", "sub", "push", "-f", status=1).stdout
    layers = [line.partition(":")[0] for line in said.splitlines() if not line.startswith(" ")]
    assert layers[1:] == [
        "ceiling", "module", "profile", "rules", "denied", "rule", "hint", "daemon",
    ]  # fmt: skip
    assert 'denied: git with "push", "-f" is refused: it overwrites' in said
    assert '  subcommand "push"' in said
    assert ", and run: airlock reload\n" in said
    world.write_module("sh", "sh", PATHS)
    said = run(world, "test", "my", "sh", "-C", "sub", "status").stdout
    assert '  path "sub"' in said
    assert "workspace: passed: no path leads out" in said
    said = run(world, "test", "my", "sh", "-C", "~root", "status", status=1).stdout
    assert 'denied: the path "~root" leads out of the workspace' in said
    assert 'rule: "outside"' in said
    report = json.loads(
        run(world, "test", "--json", "my", "sh", "-C", "~root", "log", status=1).stdout
    )
    assert report["decision"]["allowed"] is True
    assert report["workspace"]["rule"] == "outside"


def test_what_only_the_client_knows_is_said_and_not_refused(world: World) -> None:
    """Its container may mount the one path, and it may stand deep enough for the other."""
    world.write_module("sh", "sh", PATHS)
    args = ("sh", "diff", "--", "/root", "../x")
    said = run(world, "test", "my", *args).stdout
    assert (
        "workspace: undecided: the client's directory and its container's mounts decide "
        'about "/root", "../x"\n'
    ) in said
    assert "allowed, as far as can be told without the client\n" in said
    report = json.loads(run(world, "test", "--json", "my", *args).stdout)
    assert report["workspace"] is None
    assert report["undecided"] == ["/root", "../x"]
    assert "undecided: " in run(world, "test", "my", "git", "status").stdout


def test_test_explains_to_programs(world: World) -> None:
    """With --json the same is data, whatever bytes the arguments have."""
    words = ("git", "push", "--tags", "origin", "\udcff")
    report = json.loads(run(world, "test", "--json", "my", *words, status=1).stdout)
    assert report["decision"]["allowed"] is True
    assert [step["layer"] for step in report["decision"]["steps"]] == [
        "ceiling", "module", "profile", "rules",
    ]  # fmt: skip
    assert report["arguments"]["subcommand"] == ["push"]
    assert report["arguments"]["flags"][0]["text"] == "--tags"
    assert report["arguments"]["words"][-1]["text"] == {"base64": "/w=="}
    assert "this is no name of a ref" in report["broker"]
    assert (report["daemon"], report["agrees"]) == (None, True)


def test_a_module_that_names_no_box_is_refused_and_the_lines_are_told(world: World) -> None:
    """By the running daemon in the same words."""
    world.write_module("sh", "/bin/sh", f"[deny]\nargs = []\n{UNSAID}")
    with Daemon(world):
        said = run(world, "test", "my", "sh", "yes", status=1).stdout
    assert "\nsandbox: refused: the module names no [sandbox] box\n" in said
    assert '\nrule: "no-box-named"\n' in said
    assert 'box = "closed" shows it the workspace and no credential; box = "home"' in said
    assert said.endswith("daemon: denied in the same words\n")


@pytest.mark.parametrize(
    ("module", "mode", "said"),
    [
        (HOME, "auto", "home (unprotected): it can read and send away every credential"),
        ('[sandbox]\nbox = "closed"\n', "auto", "closed\n"),
        (
            '[sandbox]\nbox = "closed"\nnetwork = ["a.example:443", "[::1]:80"]\n',
            "auto",
            "closed, but for a.example:443, [::1]:80\n",
        ),
        ('[sandbox]\nbox = "closed"\n', "off", "off: so says [sandbox] mode of config.toml\n"),
        ('[sandbox]\nbox = "none"\n', "auto", "off: it runs on the host as the daemon's user\n"),
    ],
)
def test_the_box_of_what_is_allowed_is_told(
    world: World, module: str, mode: str, said: str
) -> None:
    """Who grants a command sees what it would give away."""
    world.write_config(f'[sandbox]\nmode = "{mode}"\nuser = "{BOX_USER}"\n')
    world.write_module("sh", "/bin/sh", f"[deny]\nargs = ['no']\n{module}")
    shown = run(world, "test", "my", "sh", "yes").stdout
    assert f"\nsandbox: {said}" in shown
    assert "sandbox:" not in run(world, "test", "my", "sh", "no", status=1).stdout


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("sh", "-c", "a b"), 'sh -c "a b"'),
        (("git", "status"), "run git status"),
        (
            ("git", "push", "git@host:acme/app", "HEAD:agent/x"),
            "git push git@host/acme/app refs/heads/agent/x",
        ),
        (("git", "fetch", "https://host/acme/app"), "git fetch host/acme/app"),
        (("git", "push", "origin", "HEAD:agent/x"), "run git push origin HEAD:agent/x"),
    ],
)
def test_test_shows_the_operation_as_the_log_does(
    world: World, words: tuple[str, ...], line: str
) -> None:
    """That of the broker where one is asked, else what runs."""
    world.write_profile('[git]\npush = ["host/**", "git@host/**", "https://host/**"]\n')
    report = json.loads(run(world, "test", "--json", "my", *words).stdout)
    assert report["operation"] == line
