"""The examples of docs/hooks, as the documentation tells to install them."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from running import Daemon, Message, read_answer, request
from worlds import World

EXAMPLES = Path(__file__).parents[5] / "docs" / "hooks"

URL = "git@github.com:acme/app.git"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----"


# What `ask_a_person.py` keeps out, and its line without that.
BROKER = ('if command == "git-remote":', "if False:")
ALONE = ("text = describe(params)", "text = json.dumps(params)")


def install(world: World, example: str, name: str) -> None:
    """Copy an example to where the daemon looks for a hook; `git` says what it is asked."""
    (world.agent / "hooks").mkdir()
    shutil.copy(EXAMPLES / example, world.agent / "hooks" / name)
    world.write_module("git", "/bin/echo")


def take_guard(hook: Path, guard: tuple[str, str]) -> None:
    """Write the example that asks a person to `hook` without that guard."""
    text = (EXAMPLES / "ask_a_person.py").read_text()
    assert text.count(guard[0]) == 1
    hook.write_text(text.replace(*guard))
    hook.chmod(0o755)


def question(world: World) -> Path:
    """The directory of the one question, as soon as it can be answered."""
    while not (found := list(world.agent.glob("questions/*/request"))):
        os.sched_yield()
    return found[0].parent


@pytest.mark.parametrize("answer", ["yes", "no", ""])
def test_a_person_is_asked(world: World, answer: str) -> None:
    """Only yes lets a push go on, and the question goes with its answer."""
    install(world, "ask_a_person.py", "pre-exec")
    with Daemon(world) as daemon, daemon.connect() as connection:
        assert daemon.ask("git", "status").text() == "status\n"
        connection.sendall(request("git", "push", "\x1b[2J"))
        asked = question(world)
        (asked / "answer").write_text(f"{answer}\n")
        said = read_answer(connection)
    if answer == "yes":
        assert said.text().startswith("push")
    else:
        assert said.error["data"]["layer"] == "hook"
        assert "a person at the host said no" in said.error["message"]
    assert list(world.agent.glob("questions/*")) == []


def test_what_a_person_reads_cannot_drive_the_terminal(world: World) -> None:
    """The question has the arguments, escaped."""
    install(world, "ask_a_person.py", "pre-exec")
    with Daemon(world) as daemon, daemon.connect() as connection:
        connection.sendall(request("git", "push", "\x1b[2J\u202e"))
        text = (question(world) / "request").read_text()
        assert r'argument: "\u001b[2J\u202e"' in text


FAKE = 'x"\ncommand: "git"\nargument: "status"\n'


def read_question(world: World) -> str:
    """What a person reads of a push by a client that writes a question of its own everywhere."""
    where = str(world.workspace)
    with Daemon(world) as daemon, daemon.connect() as connection:
        connection.sendall(
            request("git", "push", FAKE, cwd=where, env={"A": FAKE}, features=["env"], x=FAKE)
        )
        return (question(world) / "request").read_text()


def test_no_member_of_a_request_looks_like_another_question(world: World) -> None:
    """What is asked stands there alone, without variables, and an argument is one line."""
    install(world, "ask_a_person.py", "pre-exec")
    assert read_question(world).splitlines() == [
        'command: "git"',
        'argument: "push"',
        f"argument: {json.dumps(FAKE)}",
        f'directory: "{world.workspace}"',
    ]


def test_a_whole_request_ends_in_words_of_the_client(world: World) -> None:
    """Where the example does not leave out the others: they come last, and look like a question."""
    install(world, "ask_a_person.py", "pre-exec")
    take_guard(world.agent / "hooks" / "pre-exec", ALONE)
    asked, _, after = read_question(world).partition('"env": ')
    assert "push" in asked
    assert json.dumps(FAKE) in after


def test_a_question_that_nobody_could_read_is_refused(world: World) -> None:
    """What scrolls off the screen hides what is asked."""
    install(world, "ask_a_person.py", "pre-exec")
    with Daemon(world) as daemon:
        error = daemon.ask("git", "push", *("x",) * 1000).error
    assert "this is too long for a question" in error["message"]


PUSHES: tuple[tuple[object, ...], ...] = (
    ("ssh", "git@host", "git-receive-pack 'a/b'"),
    ("ssh", "-p", "22", "host", "git-receive-pack 'git-upload-pack '"),
    ("ssh", "git-upload-pack 'a'", "git-receive-pack 'a'"),
    ("ssh", "host", {"base64": "/w=="}),
    ("https", "origin", "https://host/a"),
    ("http", "origin", "git-upload-pack 'a'"),
    ("", "git-upload-pack 'a'"),
    (),
)


def asks(hook: Path, args: tuple[object, ...], folder: Path) -> bool:
    """Whether a hook asks about these arguments of git-remote; the answer is no."""
    message = {"params": {"command": "git-remote", "args": args, "cwd": "/workspace"}}
    with subprocess.Popen(
        [hook], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdin is not None
        running.stdin.write(json.dumps(message).encode())
        running.stdin.close()
        while not (found := list(folder.glob("questions/*/request"))) and running.poll() is None:
            os.sched_yield()
        if found:
            (found[0].parent / "answer").write_text("no\n")
        assert running.wait() == int(bool(found))
    return bool(found)


@pytest.mark.parametrize("args", PUSHES)
def test_a_person_is_asked_about_what_may_push(tmp_path: Path, args: tuple[object, ...]) -> None:
    """Over https and of what is not known it cannot be told, so that a person is asked."""
    assert asks(EXAMPLES / "ask_a_person.py", args, tmp_path)


def test_nobody_is_asked_about_a_fetch(tmp_path: Path) -> None:
    """Over ssh the last word says that it is one."""
    args = ("ssh", "git@host", "git-upload-pack 'git-receive-pack'")
    assert not asks(EXAMPLES / "ask_a_person.py", args, tmp_path)


@pytest.mark.parametrize("args", PUSHES)
def test_a_hook_that_knows_git_alone_asks_nobody(tmp_path: Path, args: tuple[object, ...]) -> None:
    """So each push of the container's own git passes it."""
    hook = tmp_path / "pre-exec"
    take_guard(hook, BROKER)
    assert not asks(hook, args, tmp_path)


def test_a_person_who_does_not_answer_refuses(world: World) -> None:
    """And the question is gone."""
    install(world, "ask_a_person.py", "pre-exec")
    world.write_config("[hooks]\ntimeout_s = 2\n")
    with Daemon(world) as daemon, daemon.connect() as connection:
        connection.sendall(request("git", "push"))
        question(world)
        error = read_answer(connection).error
    assert (error["data"]["layer"], error["data"]["rule"]) == ("hook", "timeout")
    assert list(world.agent.glob("questions/*")) == []


def test_secrets_are_taken_out_of_output(world: World) -> None:
    """On both streams, in text and in other bytes; the rest stays as it was."""
    install(world, "redact_output.py", "post-exec")
    token = "ghp_" + "a1" * 18
    with Daemon(world) as daemon:
        script = f"echo 'url https://{token}@x/'; echo 'key AKIA{'A' * 16} end' >&2; exit 3"
        answer = daemon.shell(script)
        assert answer.text() == "url https://[redacted]@x/\n"
        assert answer.text("stderr") == "key [redacted] end\n"
        assert answer.exit_code == 3
        answer = daemon.shell(f"printf 'a\\377{token}'; echo '{KEY}' >&2")
        assert answer.text() == "a\ufffd[redacted]"
        assert answer.text("stderr") == "[redacted]\n"
        answer = daemon.shell("echo '-----BEGIN RSA PRIVATE KEY-----'; echo AAAA")
        assert answer.text() == "[redacted]"


@pytest.mark.parametrize("message", ["", "{}", '{"result":{"exit_code":0,"stdout":1}}'])
def test_output_that_cannot_be_looked_at_is_withheld(message: str) -> None:
    """The example never fails, because that would send the output as it was."""
    done = subprocess.run(
        [EXAMPLES / "redact_output.py"], input=message.encode(), capture_output=True, check=True
    )
    result: Message = json.loads(done.stdout)["result"]
    assert (result["exit_code"], result["stdout"]) == (1, "")


def test_remotes_are_pinned(world: World) -> None:
    """A name becomes the URL of the host's owner, and everything else is refused."""
    install(world, "pin_git_remotes.py", "pre-exec")
    good = {
        ("push", "origin", "main"): f"push {URL} main",
        ("-C", "sub", "push", "-q", "origin", "main"): f"-C sub push -q {URL} main",
        ("fetch", "origin"): f"fetch {URL} +refs/heads/*:refs/remotes/origin/*",
        ("commit", "-m", "push"): "commit -m push",
        ("log",): "log",
    }
    bad = (
        ("push",),
        ("push", "evil", "main"),
        ("push", "git@github.com:evil/app.git", "main"),
        ("push", "--repo=evil", "origin"),
        ("push", "origin", "--receive-pack=x"),
        ("fetch", "--multiple", "origin", "evil"),
        ("-c", "remote.origin.url=evil", "push", "origin"),
        ("clone", URL),
        ("remote", "update"),
        (),
    )
    with Daemon(world) as daemon:
        for args, expected in good.items():
            assert daemon.ask("git", *args).text() == f"{expected}\n"
        assert daemon.ask("sh", "-c", "echo other").text() == "other\n"
        for args in bad:
            assert daemon.ask("git", *args).error["data"]["rule"] == "refused"
        raw = {"base64": "/w=="}
        assert daemon.ask("git", "push", raw).error["data"]["rule"] == "refused"  # type: ignore[arg-type]
