"""ssh, as the daemon runs it for a client: where it may lead, and with which words.

The program that is called ssh here runs the last of its words on this machine, and is the real one
where it is asked how it would reach a host (-G); sessions with a real sshd are among the end-to-end
tests.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from git_world import KNOWS_COMMANDS, make_world

from airlock_daemon.boundary.brokers.ssh.destination import FORCED
from approving import approve, wait_for_questions
from commanding import run
from running import Answer, Daemon, read_answer, request
from talking import Talk
from worlds import World

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIKh3Hq1mC5b0uQ0Sx0m9bXl3W8y7vQmU0oQ5c8mJt2aB"
# A public address, which nothing here connects with.
PUBLIC = "1.1.1.1"
FEATURES = ["env", "base64", "stdin", "fds"]

Start = Callable[..., Daemon]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a daemon whose human has this ssh configuration and these known hosts."""
    with ExitStack() as stack:

        def start(
            *,
            hosts: str | None = "host",
            config: str = "",
            known: str = "",
            module: str = "",
            more: str = "",
        ) -> Daemon:
            world = make_world(tmp_path)
            file, list_of_keys = tmp_path / "ssh_config", tmp_path / "known_hosts"
            list_of_keys.write_text(known)
            file.write_text(f"{config}\nHost *\n UserKnownHostsFile {list_of_keys}\n")
            text = (world.config / "config.toml").read_text()
            (world.config / "config.toml").write_text(text.replace("git-remote", "ssh"))
            grant = "" if hosts is None else f'[ssh]\nhosts = ["{hosts}"]\n'
            world.write_profile(grant + more, commands='["ssh"]')
            (world.agent / "commands" / "ssh.toml").write_text(
                module
                or '[command]\nbroker = "ssh"\n[deny]\nargs = []\n[env]\nforward = ["LANG"]\n'
                f'[args]\nprepend = ["-F", "{file}"]\n'
            )
            return stack.enter_context(Daemon(world))

        yield start


def read_notes(world: World) -> list[str]:
    """Words, variables and directory of the last ssh, a line each; none before there is one."""
    file = world.root / "notes"
    return file.read_text().splitlines() if file.exists() else []


def test_a_session_waits_for_a_person(start: Start) -> None:
    """Whatever user or port its words leave to ssh's configuration; its variables are bound."""
    daemon = start(more='[approve]\nrequire = ["ssh me@host:2222"]\n')
    words = ("ssh", "host", "echo", "done")
    with daemon.connect() as connection:
        connection.sendall(request(*words, features=FEATURES, env={"LANG": "C", "OTHER": "x"}))
        (question,) = wait_for_questions(daemon.world)
        assert question["operation"] == 'ssh host "echo done"'
        assert question["details"] == [["variable LANG", ["C"]]]
        run(daemon.world, "approve", question["id"], "--for", "1m")
        assert read_answer(connection).text() == "done\n"
    same = daemon.ask(*words, features=FEATURES, env={"LANG": "C"})
    assert same.text() == "done\n"
    with daemon.connect() as connection:
        connection.sendall(request(*words, features=FEATURES, env={"LANG": "C.UTF-8"}))
        (another,) = wait_for_questions(daemon.world)
    assert another["id"] != question["id"]


def test_a_session_that_was_taken_back_meanwhile_does_not_begin(start: Start) -> None:
    """The approval is no grant."""
    require = '[approve]\nrequire = ["ssh me@host"]\n'
    daemon = start(more=require)
    with daemon.connect() as connection:
        connection.sendall(request("ssh", "host", "echo", "done", features=FEATURES))
        wait_for_questions(daemon.world)
        daemon.world.write_profile(f'[ssh]\nhosts = ["other"]\n{require}')
        run(daemon.world, "reload")
        approve(daemon.world)
        answer = read_answer(connection)
    assert answer.error["data"]["layer"] == "broker"
    assert not read_notes(daemon.world)


def test_the_words_are_the_daemons_own(start: Start) -> None:
    """Forced options first, the operator's, what the client may choose, and one command."""
    daemon = start(hosts="me@Host:2222")
    words = ("-vC4", "-p", "2222", "-o", "ConnectTimeout=5", "-tt", "me@HOST")
    answer = daemon.ask("ssh", *words, "echo", "a  b;", "pwd", cwd="/nowhere")
    assert answer.exit_code == 0
    notes = read_notes(daemon.world)
    assert notes[: len(FORCED)] == list(FORCED)
    assert notes[len(FORCED) : notes.index("--") + 3] == [
        *("-oLogLevel=INFO", "-F", f"{daemon.world.root}/ssh_config"),
        *("-oCompression=yes", "-oConnectTimeout=5", "-tt", "-4", "-p", "2222"),
        *("--", "me@Host", "echo a  b; pwd"),
    ]
    first, directory = answer.text().splitlines()
    assert first == "a b"
    assert os.path.basename(directory).startswith("airlock-empty-")
    assert "airlock: ssh goes to me@host:2222; " in answer.text("stderr")
    (record,) = daemon.records("broker")
    assert record["detail"] == {
        "operation": 'ssh me@host:2222 "echo a  b; pwd"',
        "service": "ssh",
        "destination": "ssh://me@host:2222",
        "command": "echo a  b; pwd",
        "bytes": None,
        "received": len(answer.text()),
    }
    assert [each["sandbox"] for each in daemon.records()] == ["broker"]


def ask_with_pipes(daemon: Daemon, script: str, says: bytes = b"") -> tuple[Answer, str, str]:
    """Pass pipes along; returns the answer, and what came on those for stdout and stderr."""
    (stdin, writing), (reading, stdout), (unread, stderr) = os.pipe(), os.pipe(), os.pipe()
    os.write(writing, says)
    os.close(writing)
    with daemon.connect() as connection:
        line = request("ssh", "host", script, features=FEATURES)
        socket.send_fds(connection, [line], [stdin, stdout, stderr])
        for number in (stdin, stdout, stderr):
            os.close(number)
        answer = read_answer(connection)
    with open(reading) as passed, open(unread) as kept:
        return answer, passed.read(), kept.read()


@pytest.mark.linux_only("elsewhere no descriptor is taken")
def test_pipes_are_passed_and_messages_are_not(start: Start) -> None:
    """What ssh says on stderr comes through the daemon, whatever descriptor the client passed."""
    answer, *passed = ask_with_pipes(start(), "cat; echo no >&2; exit 3", b"hello")
    assert passed == ["hello", ""]
    assert (answer.exit_code, answer.text("stderr")) == (3, "no\n")


def test_a_client_of_an_early_release_has_no_input(start: Start) -> None:
    """It gets the output all the same, and a command that reads ends."""
    assert start().ask("ssh", "host", "cat; echo done").text() == "done\n"


@pytest.mark.linux_only("elsewhere no descriptor is taken")
def test_the_record_counts_what_passes_through_the_daemon(start: Start) -> None:
    """Both ways; of pipes that were passed nothing is seen."""
    daemon = start()
    with Talk(daemon, "cat; echo more", ["stdin", "base64"], command=("ssh", "host")) as talk:
        talk.start()
        talk.type(b"abc")
        talk.say("stdin", eof=True)
        assert talk.result["exit_code"] == 0
    ask_with_pipes(daemon, "cat", b"unseen")
    counts = [(r["detail"]["bytes"], r["detail"]["received"]) for r in daemon.records("broker")]
    assert counts == [(3, 8), (None, None)]


def test_of_the_clients_variables_few_reach_ssh(start: Start) -> None:
    """Those that the module forwards, and the version of git's protocol."""
    daemon = start()
    env = {"LANG": "de_DE", "EVIL": "1", "GIT_PROTOCOL": "version=2", "SSH_ASKPASS": "evil"}
    daemon.ask("ssh", "host", "true", features=["env"], env=env)
    notes = read_notes(daemon.world)
    assert {"LANG=de_DE", "GIT_PROTOCOL=version=2"} <= {*notes}
    assert not [line for line in notes if "evil" in line.lower()]
    daemon.ask("ssh", "host", "true", features=["env"], env={"GIT_PROTOCOL": "version=2:x"})
    assert not [line for line in read_notes(daemon.world) if line.startswith("GIT_PROTOCOL")]


REFUSED = (
    (("other", "id"), "ssh.hosts", 'hosts = ["other"]'),
    (("root@host", "id"), "ssh.hosts", 'hosts = ["root@host"]'),
    (("-p", "23", "me@host"), "ssh.hosts", 'hosts = ["me@host:23"]'),
    (("-J", "x", "me@host"), "-J", "(ProxyJump)"),
    (("-vi", "/etc/passwd", "me@host"), "-i", "it names a file"),
    (("-o", "ProxyCommand=id", "me@host"), "-o", "ProxyCommand"),
    (("me@host", "-A", "ls"), "-A", "it would lend"),
)


def test_what_is_not_granted_is_refused_with_the_way_to_it(start: Start) -> None:
    """Another host, user or port by the line to add, words by their reason; nothing is run."""
    daemon = start(hosts="me@host")
    for words, rule, says in REFUSED:
        for method in ("exec", "check"):
            error = daemon.ask("ssh", *words, method=method).error
            assert (error["data"]["layer"], error["data"]["rule"]) == ("broker", rule)
            assert says in error["message"] + error["data"]["hint"]
    assert read_notes(daemon.world) == []


def test_a_known_host_is_reached_by_the_address_that_was_looked_at(start: Start) -> None:
    """ssh gets the address, and the name for what known_hosts has; the record says unpinned."""
    daemon = start(hosts=None, known=f"[{PUBLIC}]:22 ssh-ed25519 {KEY}\n{PUBLIC} ssh-rsa {KEY}\n")
    assert daemon.ask("ssh", f"deploy@{PUBLIC}", "echo x").text() == "x\n"
    assert {f"-oHostName={PUBLIC}", f"-oHostKeyAlias={PUBLIC}"} <= {*read_notes(daemon.world)}
    (record,) = daemon.records("broker")
    assert record["detail"]["unpinned"] is True
    assert "agent my is unpinned: ssh reaches" in daemon.messages()


@pytest.mark.parametrize(
    ("hosts", "host", "config", "why"),
    [
        (None, "8.8.8.8", "", "is no host that known_hosts has by its own name"),
        (None, "127.0.0.1", "", "has an address of this host"),
        ("*", "127.0.0.1", "", "has an address of this host"),
        ("*", "0x7f.1", "", "has an address of this host"),
        ("*", "[::ffff:10.1.2.3]", "", "of no public network"),
        ("*", "alias", "Host alias\n HostName 10.1.2.3\n", "of no public network"),
        ("*", "alias", "Host alias\n ProxyJump x\n HostName 1.1.1.1\n", "proxy or jump host"),
        ("alias", "alias", "Host alias\n ProxyJump x\n HostName 10.1.2.3\n", None),
    ],
)
def test_inner_addresses_and_other_ways_need_naming(
    start: Start, hosts: str | None, host: str, config: str, why: str | None
) -> None:
    """A pattern is no name; an alias that the profile names may lead anywhere."""
    daemon = start(hosts=hosts, config=config, known=f"127.0.0.1 ssh-ed25519 {KEY}\n")
    answer = daemon.ask("ssh", host, "echo x")
    if why is None:
        assert answer.text() == "x\n"
        assert not [word for word in read_notes(daemon.world) if word.startswith("-oHostName")]
        return
    assert why in answer.error["message"]
    assert "can name it in [ssh] of its airlock.toml" in answer.error["data"]["hint"]
    assert read_notes(daemon.world) == []


_ALIAS = f"Host forge\n HostName {PUBLIC}\n User git\n"


@pytest.mark.parametrize(
    ("hosts", "more", "host", "is_refused"),
    [
        (None, "", f"git@{PUBLIC}", True),
        (None, "", "forge", True),
        ("*", "", f"git@{PUBLIC}", True),
        ("*", "", "forge", True),
        ("git@*", "", f"git@{PUBLIC}", False),
        (PUBLIC, "", f"git@{PUBLIC}", False),
        ("*", f'[git]\npush = ["git@{PUBLIC}/a/*"]\n', "me@other", False),
        ("*:2222", f'[git]\npush = ["me@{PUBLIC}/a/*"]\n', f"me@{PUBLIC}:2222", True),
        ("*", f'[git]\npush = ["me@{PUBLIC}/a/*"]\n', "me@forge", True),
    ],
)
def test_a_server_of_git_needs_naming(
    start: Start, hosts: str | None, more: str, host: str, *, is_refused: bool
) -> None:
    """By its account `git`, or as a place of [git], whatever ssh's configuration calls it."""
    config = f"{_ALIAS}Host other\n HostName 8.8.8.8\n"
    daemon = start(hosts=hosts, config=config, known=f"{PUBLIC} ssh-ed25519 {KEY}\n", more=more)
    if more:
        enabled = daemon.world.config / "config.toml"
        enabled.write_text(enabled.read_text().replace('"ssh"', '"ssh", "git-remote"'))
        grant = f'[ssh]\nhosts = ["{hosts}"]\n{more}'
        daemon.world.write_profile(grant, commands='["ssh", "git-remote"]')
        assert daemon.stop() == 0
        with Daemon(daemon.world) as daemon:
            _try_session(daemon, host, is_refused=is_refused)
    else:
        _try_session(daemon, host, is_refused=is_refused)


def _try_session(daemon: Daemon, host: str, *, is_refused: bool) -> None:
    account, _, port = host.partition(":")
    answer = daemon.ask("ssh", *(("-p", port) if port else ()), account, "echo x")
    if not is_refused:
        assert answer.text() == "x\n"
        return
    assert "server of git" in answer.error["message"] or "[git] says" in answer.error["message"]
    assert "in [ssh] of its airlock.toml: hosts = [" in answer.error["data"]["hint"]
    assert read_notes(daemon.world) == []


def test_no_forge_is_asked_for_a_credential(start: Start) -> None:
    """Also where the profile names it, and the agent has no git."""
    daemon = start()
    for command in (
        "git-lfs-authenticate a/b upload",
        "git\tlfs-authenticate a/b upload",
        "git-lfs-transfer a/b upload",
        "personal_access_token x api 30",
        "'personal_access'_token x api",
        "2fa_recovery_codes",
    ):
        error = daemon.ask("ssh", "git@host", *command.split(" ")).error
        assert "answers such a command with a credential" in error["message"]
    assert read_notes(daemon.world) == []


@pytest.mark.skipif(not KNOWS_COMMANDS, reason="this ssh has no Match command (OpenSSH 10.0 has)")
@pytest.mark.parametrize(
    ("words", "config"),
    [
        (("alias", "echo x"), 'Match command "echo *"\n ProxyJump x\n'),
        (("-s", "alias", "sftp"), "Match sessiontype subsystem\n ProxyCommand nc %n\n"),
        (("alias",), "Match sessiontype shell\n ProxyJump x\n"),
    ],
)
def test_another_way_for_what_is_done_there_needs_naming(
    start: Start, words: tuple[str, ...], config: str
) -> None:
    """The client chooses the command, and so what of the configuration holds."""
    daemon = start(hosts="*", config=f"{config}Host alias\n HostName {PUBLIC}\n")
    assert "proxy or jump host" in daemon.ask("ssh", *words).error["message"]
    assert read_notes(daemon.world) == []
    assert daemon.ask("ssh", "alias", "pwd").exit_code == 0


def test_hooks_see_a_session_and_its_output(start: Start) -> None:
    """The first is asked before; for the second the output passes through the daemon."""
    daemon = start()
    daemon.world.write_hook("pre-exec", 'grep -q "echo no" && exit 1; exit 0')
    daemon.world.write_hook("post-exec", f"cat >'{daemon.world.root}/heard'; exit 0")
    assert daemon.stop() == 0
    with Daemon(daemon.world) as again:
        assert again.ask("ssh", "host", "echo no").error["data"]["layer"] == "hook"
        _, *passed = ask_with_pipes(again, "echo hidden")
    assert passed == ["", ""]
    assert "hidden" in (daemon.world.root / "heard").read_text()


def test_a_module_that_names_the_program_has_the_broker(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As overrides of released versions do; one that wants none says so, and has none."""
    text = '[command]\nbin = "ssh"\n{}[deny]\nargs = []\n'
    daemon = start(module=text.format(""))
    assert daemon.ask("ssh", "other", "id").error["data"]["layer"] == "broker"
    assert daemon.ask("ssh", "-L1:a:2", "host").error["data"]["rule"] == "-L"
    daemon.ask("ssh", "-V", "other")
    assert read_notes(daemon.world)[0] == "-V"
    assert daemon.stop() == 0
    world = daemon.world
    unboxed = text.format('broker = "none"\n') + '[sandbox]\nbox = "none"\n'
    (world.agent / "commands" / "ssh.toml").write_text(unboxed)
    world.write_profile("[workspace]\nhost = true\n", commands='["ssh"]')
    monkeypatch.chdir(world.workspace)
    with Daemon(world) as again:
        answer = again.ask("ssh", "-L1:a:2", "other", "pwd")
    assert answer.text() == f"{world.workspace}\n"
