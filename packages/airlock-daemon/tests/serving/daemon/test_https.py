"""A daemon with an API: real processes, TLS both ways, and a server that wants the credential."""

import json
import os
import select
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from https_server import in_thread

from airlock_daemon.admin.listening import find_silence
from airlock_daemon.errors import Failed
from airlock_daemon.serving.daemon.https import link_published
from airlock_daemon.serving.daemon.https_parent import MOST_LOGGED
from airlock_daemon.setup.paths import BUNDLE, CA, PUBLISHED, TRUSTSTORE
from api_world import (
    TOKEN,
    ApiServer,
    ApiWorld,
    Client,
    Refused,
    api_world,
    read_answer,
    wait_until_published,
)
from running import Daemon, repeated, watching
from worlds import World


@pytest.fixture
def apis(world: World) -> Iterator[ApiWorld]:
    """A world with an API."""
    with api_world(world) as apis:
        yield apis


def broker_records(daemon: Daemon, count: int) -> list[tuple[str, str, object]]:
    """Outcome, operation and status of so many records, and no credential in the log."""
    found = daemon.wait_for_records(count, "broker")
    assert TOKEN not in daemon.world.log.read_text()
    return [
        (each["outcome"], each["detail"].get("operation"), each["detail"].get("status"))
        for each in found
    ]


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def find_parent(daemon: Daemon) -> int:
    """The process that forks workers."""
    (found,) = [
        pid
        for pid in children(daemon.process.pid)
        if b"airlock_daemon.boundary.brokers.https" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return found


def connect_in_vain(apis: ApiWorld) -> str:
    """Connect where the process is killed, before it has a worker or after; return the refusal."""
    try:
        with apis.client():
            return ""
    except Refused as error:
        return str(error)
    except OSError:
        return ""


def kill_parent(daemon: Daemon) -> None:
    """Kill the process that forks the workers, if it is there."""
    with suppress(OSError, ValueError):
        os.kill(find_parent(daemon), signal.SIGKILL)


def test_the_api_gets_the_credential_and_the_client_never_sees_it(apis: ApiWorld) -> None:
    """What is granted is recorded with its status, and what is refused with its rule."""
    with apis.daemon() as daemon, apis.client() as client:
        assert client.ask("/who") == (200, "half half ")
        status, text = client.ask("/other")
        assert status == 403
        assert "airlock: api.test GET /other is refused" in text
        assert broker_records(daemon, 2) == [
            ("allowed", "api.test GET /who", 200),
            ("denied", "api.test GET /other", None),
        ]
        began, *_ = daemon.records("broker-start")
        assert began["id"] == daemon.records("broker")[0]["id"]
        for path in apis.published.iterdir():
            assert path.is_socket() or TOKEN.encode() not in path.read_bytes()
    assert apis.server.requests == [("GET /who", f"Bearer {TOKEN}")]


def connect_from_command(apis: ApiWorld, daemon: Daemon) -> str:
    """What a command that the daemon has started is answered at the agent's `https.sock`."""
    ask = f"""
import socket
connection = socket.socket(socket.AF_UNIX)
connection.connect("{apis.published}/https.sock")
connection.sendall(b"CONNECT localhost:{apis.server.port} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
print(connection.recv(4096).decode())
"""
    return daemon.shell(shlex.join([sys.executable, "-c", ask])).text()


def test_a_command_that_airlock_started_is_no_client(apis: ApiWorld) -> None:
    """What it may reach is for its box to say."""
    with apis.daemon() as daemon:
        said = connect_from_command(apis, daemon)
        assert "HTTP/1.1 403 airlock: a command that Airlock started may not ask" in said
        (record,) = daemon.records("broker")
        assert (record["layer"], record["rule"]) == ("workspace", "peer")


def test_without_the_guard_such_a_command_gets_through(apis: ApiWorld) -> None:
    """So that the test above shows something."""
    without = (
        "from airlock_daemon.serving.daemon import callers; callers.refuse_own = lambda *_: None"
    )
    with apis.daemon(
        "-c", f"{without}; from airlock_daemon.admin.cli import main; main()"
    ) as daemon:
        assert connect_from_command(apis, daemon).startswith("HTTP/1.1 200")


def test_a_connection_to_a_network_is_recorded_with_its_bytes(apis: ApiWorld) -> None:
    """It has no credential, and nothing of it is read: TLS is that of the server itself."""
    with ApiServer(apis.authority) as other, in_thread(other):
        apis.grant(more=f'[network]\nallow = ["localhost:{other.port}"]\n')
        with apis.daemon() as daemon:
            with Client(apis, port=other.port, authority=apis.authority) as client:
                assert client.ask("/who", token=TOKEN)[0] == 200
            (record,) = daemon.wait_for_records(1, "broker")
    assert record["outcome"] == "allowed"
    assert record["detail"]["operation"] == f"connect localhost:{other.port}"
    assert record["detail"]["received"] > 0


def test_a_connection_to_a_network_ends_with_its_grant(apis: ApiWorld) -> None:
    """What is asked over it is not seen, so that nothing else would."""
    with ApiServer(apis.authority) as other, in_thread(other):
        network = f'[network]\nallow = ["localhost:{other.port}"]\n'
        apis.grant("GET /who", more=network)
        with (
            apis.daemon() as daemon,
            Client(apis, port=other.port, authority=apis.authority) as client,
        ):
            apis.grant("GET /held", more=network)
            daemon.process.send_signal(signal.SIGHUP)
            while not daemon.records("reload"):
                daemon.ask("true")
            assert client.ask("/who", token=TOKEN)[0] == 200
            apis.grant("GET /held")
            daemon.process.send_signal(signal.SIGHUP)
            assert client.is_closed


@pytest.mark.parametrize("lives", [True, False])
def test_a_network_stays_revoked_where_no_worker_can_start(apis: ApiWorld, *, lives: bool) -> None:
    """The worker of before loses it, too, and so does one that starts later."""
    full = apis.world.root / "full"
    program = f"""
import os
from airlock_daemon.admin.cli import main
from airlock_daemon.errors import Failed
from airlock_daemon.serving.daemon.https_parent import Parent

fork = Parent.fork

async def fork_unless_full(self, agent):
    if os.path.exists({os.fspath(full)!r}):
        raise Failed("no further process may start", hint="-")
    return await fork(self, agent)

Parent.fork = fork_unless_full
main()
"""
    with ApiServer(apis.authority) as other, in_thread(other):
        apis.grant(more=f'[network]\nallow = ["localhost:{other.port}"]\n')

        def connect() -> Client:
            return Client(apis, port=other.port, authority=apis.authority)

        with apis.daemon("-c", program) as daemon, connect() as client:
            assert client.ask("/who", token=TOKEN)[0] == 200
            full.touch()
            if not lives:
                (worker,) = children(find_parent(daemon))
                os.kill(worker, signal.SIGKILL)
                assert client.is_closed
            # Another file to read, so that another worker is needed.
            apis.authority = apis.authority.rename(apis.world.root / "authority-elsewhere.pem")
            apis.grant("GET /who")
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_until(lambda: "its APIs are not served" in daemon.messages())
            assert client.is_closed
            with pytest.raises(Refused, match="no further process may start"):
                connect()
            full.unlink()
            with pytest.raises(Refused) as error:
                connect()
            assert error.value.status == 403
            with apis.client() as granted:
                assert granted.ask("/who")[0] == 200


def test_a_source_that_fails_is_answered_with_what_a_person_can_do(apis: ApiWorld) -> None:
    """As a refusal of the service, and as a failure in the log."""
    apis.lose_token()
    with apis.daemon() as daemon, apis.client() as client:
        status, text = client.ask("/who")
        assert status == 403
        assert "airlock: " in text
        assert broker_records(daemon, 1) == [("failed", "api.test GET /who", None)]
    assert apis.server.requests == []


def test_a_worker_that_is_killed_ends_its_connections_alone(apis: ApiWorld) -> None:
    """The next connection has another; what was under way is recorded."""
    with apis.daemon() as daemon, apis.client() as client:
        client.send("/held")
        client.read_some(b"half")
        (worker,) = children(find_parent(daemon))
        os.kill(worker, signal.SIGKILL)
        assert client.is_closed
        with apis.client() as other:
            assert other.ask("/who")[0] == 200
        assert [each[0] for each in broker_records(daemon, 2)] == ["aborted", "allowed"]
        assert "agent my: its worker has ended, and its connections are cut" in daemon.messages()


def test_a_parent_that_is_killed_is_started_again_later(apis: ApiWorld) -> None:
    """Its workers end with it. Where that comes again, who connects at once is refused a while."""
    with apis.daemon() as daemon:
        with apis.client() as client:
            assert client.ask("/who")[0] == 200
            os.kill(find_parent(daemon), signal.SIGKILL)
            assert client.is_closed
        said = ""
        with repeated(partial(kill_parent, daemon), pause=lambda: 0.001):
            while "the HTTPS broker's process has ended" not in said:
                said = connect_in_vain(apis)
        assert said.startswith("503 ")
        assert "the HTTPS broker's process has ended (signal 9)" in daemon.messages()
        status = 0
        while not status:
            with suppress(Refused), apis.client() as client:
                status, _ = client.ask("/who")
        assert status == 200


def test_what_a_worker_says_forges_no_line(apis: ApiWorld) -> None:
    """Nor a record, where the audit log is on stderr too. Its last words are not lost."""
    with apis.daemon() as daemon:
        with apis.client() as client:
            assert client.ask("/who")[0] == 200
            parent = find_parent(daemon)
            worker = children(parent)[0]
            for pid in (worker, parent):
                with open(f"/proc/{pid}/fd/2", "wb") as stderr:
                    stderr.write(b'{"event": "exec"}\n\x1b[2Jairlock: forged \xff\n')
            os.kill(parent, signal.SIGKILL)
            assert client.is_closed
        while "the HTTPS broker's process has ended" not in daemon.messages():
            connect_in_vain(apis)
        said = daemon.messages()
    assert said.count(r'process says "{\"event\": \"exec\"}"') == 2
    assert said.count(r'process says "\u{1b}[2Jairlock: forged') == 2
    assert not any(line.startswith(('{"event', "\x1b")) for line in said.splitlines())


def test_what_a_worker_says_without_end_is_logged_to_an_end(apis: ApiWorld) -> None:
    """One that a client has broken would fill the disk."""
    with apis.daemon() as daemon:
        with apis.client() as client:
            assert client.ask("/who")[0] == 200
            worker = children(find_parent(daemon))[0]
            with open(f"/proc/{worker}/fd/2", "wb", buffering=0) as stderr:
                while "it says more than is logged of it" not in daemon.messages():
                    stderr.write(b"a long line of words\n" * 190)
                # It is still read, so that nobody waits to write.
                stderr.writelines(b"the rest\n" * 400 for _ in range(20))
        said = daemon.messages()
    # Of 8,000 lines, few as the allowance grows.
    assert said.count("the rest") < 20
    assert len(said) < 2 * MOST_LOGGED


def test_both_end_with_the_daemon(apis: ApiWorld) -> None:
    """However it ends."""
    with apis.daemon() as daemon:
        parent = find_parent(daemon)
        (worker,) = children(parent)
        with watching(parent) as parent_ends, watching(worker) as worker_ends:
            daemon.process.kill()
            assert parent_ends()
            assert worker_ends()


def test_a_reload_counts_for_the_next_request_of_a_connection(apis: ApiWorld) -> None:
    """What runs goes on where its own rule is left, by the same connection."""
    with apis.daemon() as daemon, apis.client() as client:
        client.send("/held")
        client.read_some(b"half")
        apis.grant("GET /held", more="[env]\nset = { A = 'b' }\n")
        daemon.process.send_signal(signal.SIGHUP)
        while not daemon.records("reload"):
            daemon.ask("true")
        apis.server.release.set()
        client.read_some(b"half")
        assert client.ask("/who")[0] == 403


def test_a_stream_after_an_upgrade_ends_with_its_rule(apis: ApiWorld) -> None:
    """Which another rule does not keep, and another change does not end; its bytes are counted."""
    apis.grant("GET /who", "GET /exec", upgrade=("GET /exec",))
    with apis.daemon() as daemon, apis.client() as client:
        client.send("/exec", upgrade=True)
        client.read_some(b"half ")
        apis.grant("GET /exec", upgrade=("GET /exec",))
        daemon.process.send_signal(signal.SIGHUP)
        while not daemon.records("reload"):
            daemon.ask("true")
        assert not select.select([client.socket], [], [], 0)[0]
        apis.grant("GET /exec", upgrade=("GET /other",))
        daemon.process.send_signal(signal.SIGHUP)
        assert client.is_closed
        (record,) = daemon.wait_for_records(1, "broker")
    assert (record["outcome"], record["reason"]) == ("aborted", "it is not granted any more")


def test_an_answer_that_still_comes_ends_with_its_rule(apis: ApiWorld) -> None:
    """As it may come for hours: a log that is followed, a stream of events."""
    with apis.daemon() as daemon, apis.client() as client:
        client.send("/held")
        client.read_some(b"half")
        apis.grant("GET /who")
        daemon.process.send_signal(signal.SIGHUP)
        assert client.is_closed
        (record,) = daemon.wait_for_records(1, "broker")
    assert (record["outcome"], record["reason"]) == ("aborted", "it is not granted any more")


def test_an_answer_that_still_comes_ends_with_its_credential(apis: ApiWorld) -> None:
    """A person who names another one wants what the one before gives to end."""
    with apis.daemon() as daemon, apis.client() as client:
        client.send("/held")
        client.read_some(b"half")
        apis.grant("GET /held", source='env = "ANOTHER"')
        daemon.process.send_signal(signal.SIGHUP)
        assert client.is_closed


def test_without_the_guard_an_answer_outlives_its_rule(apis: ApiWorld) -> None:
    """So that the tests above show something."""
    without = """
from airlock_daemon.admin.cli import main
from airlock_daemon.serving.daemon.https_worker import Worker
Worker.review = lambda _: None
main()
"""
    with apis.daemon("-c", without) as daemon, apis.client() as client:
        client.send("/held")
        client.read_some(b"half")
        apis.grant("GET /who")
        daemon.process.send_signal(signal.SIGHUP)
        while not daemon.records("reload"):
            daemon.ask("true")
        apis.server.release.set()
        client.read_some(b"half")


def test_what_is_taken_away_while_a_command_gives_the_credential_is_refused(
    apis: ApiWorld,
) -> None:
    """A source may take seconds, and a person have changed the rules meanwhile."""
    waiting = apis.world.root / "waiting"
    os.mkfifo(waiting)
    words = ["sh", "-c", f"echo {TOKEN}; cat {waiting}"]
    source = f"command = {json.dumps(words)}"
    apis.grant("GET /who", source=source)
    with apis.daemon() as daemon, apis.client() as client:
        client.send("/who")
        # The command has begun when it reads.
        with waiting.open("w"):
            apis.grant("GET /held", source=source)
            daemon.process.send_signal(signal.SIGHUP)
            while not daemon.records("reload"):
                daemon.ask("true")
        status, text = read_answer(client.socket, "GET")
        assert (status, "no rule allows it" in text) == (403, True)
    assert apis.server.requests == []


def ask_after_a_change(apis: ApiWorld, daemon: Daemon) -> int:
    """The status for a connection that was opened before the API got another port and credential.

    The same server is still there, so that the credential of now would go to the place of before.
    """
    with apis.client() as client:
        assert client.ask("/who")[0] == 200
        daemon.wait_for_records(1, "broker")
        apis.move(token="tok_of_the_other_place")
        daemon.process.send_signal(signal.SIGHUP)
        while not daemon.records("reload"):
            daemon.ask("true")
        return client.ask("/who")[0]


def test_a_connection_does_not_outlive_the_place_of_its_api(apis: ApiWorld) -> None:
    """A kept one would carry the credential of now to the host of before."""
    with apis.daemon() as daemon:
        assert ask_after_a_change(apis, daemon) == 403
        assert daemon.records("broker")[-1]["rule"] == "changed"
    assert [said for _, said in apis.server.requests] == [f"Bearer {TOKEN}"]


def test_without_the_guard_the_place_of_before_gets_the_credential_of_now(apis: ApiWorld) -> None:
    """So that the test above shows something."""
    without = """
from airlock_daemon.admin.cli import main
from airlock_modules.apis import Api
class Same(str):
    __ne__ = lambda *_: False
Api.fingerprint = Same()
main()
"""
    with apis.daemon("-c", without) as daemon:
        # It knows the one of before alone.
        assert ask_after_a_change(apis, daemon) == 401
    assert apis.server.requests[-1] == ("GET /who", "Bearer tok_of_the_other_place")


def test_authorities_elsewhere_are_read_by_another_worker(apis: ApiWorld) -> None:
    """Each reads what it was confined to; the one before ends with its connections."""
    with apis.daemon() as daemon, apis.client() as kept:
        assert kept.ask("/who")[0] == 200
        # Until then it is in progress for the daemon, and the reload ends it.
        daemon.wait_for_records(1, "broker")
        (worker,) = children(find_parent(daemon))
        with watching(worker) as worker_ends:
            apis.authority = apis.authority.rename(apis.world.root / "authority-elsewhere.pem")
            apis.grant("GET /who")
            daemon.process.send_signal(signal.SIGHUP)
            while not daemon.records("reload"):
                daemon.ask("true")
            with apis.client() as client:
                assert client.ask("/who")[0] == 200
                assert len(children(find_parent(daemon))) == 2
            # Its connection may lead to another host than the API of now.
            assert kept.ask("/who")[0] == 403
            assert worker_ends()


@pytest.mark.parametrize("hangs", [False, True])
def test_an_agent_that_is_removed_asks_for_nothing_more(apis: ApiWorld, *, hangs: bool) -> None:
    """Its socket goes, and so does its worker, with whatever was in progress, if it hangs too."""
    with apis.daemon() as daemon, apis.client() as client, apis.client() as idle:
        client.send("/held")
        client.read_some(b"half")
        (worker,) = children(find_parent(daemon))
        if hangs:
            os.kill(worker, signal.SIGSTOP)
        with watching(worker) as worker_ends:
            apis.world.agents_file.write_text("")
            daemon.process.send_signal(signal.SIGHUP)
            assert idle.is_closed
            assert client.is_closed
            assert not (apis.published / "https.sock").exists()
            assert worker_ends()


def test_an_agent_that_loses_its_apis_has_nothing_of_them_left(apis: ApiWorld) -> None:
    """By a reload, and where the daemon was killed before: its containers would be sent nowhere."""
    with apis.daemon() as daemon:
        daemon.process.kill()
    assert (apis.published / "https.sock").is_socket()
    apis.world.write_profile()
    with Daemon(apis.world) as daemon:
        assert daemon.shell("exit 0").exit_code == 0
        assert [path.name for path in apis.published.iterdir()] == ["airlock.sock"]
        apis.grant("GET /who")
        daemon.process.send_signal(signal.SIGHUP)
        wait_until_published(apis.published, daemon)
        with apis.client() as client:
            assert client.ask("/who")[0] == 200
            apis.world.write_profile()
            daemon.process.send_signal(signal.SIGHUP)
            assert client.is_closed
        assert [path.name for path in apis.published.iterdir()] == ["airlock.sock"]


def test_a_stop_waits_for_what_runs_and_not_for_what_is_idle(apis: ApiWorld) -> None:
    """Within the grace, as for commands."""
    with apis.daemon() as daemon, apis.client() as client, apis.client() as idle:
        client.send("/held")
        client.read_some(b"half")
        daemon.process.send_signal(signal.SIGTERM)
        assert idle.is_closed
        apis.server.release.set()
        client.read_some(b"half")
        assert client.is_closed
        assert daemon.process.wait(30) == 0
        assert broker_records(daemon, 1) == [("allowed", "api.test GET /held", 200)]


def test_who_connects_and_says_nothing_costs_no_worker(apis: ApiWorld) -> None:
    """As `doctor --alive` does, on each socket; and silence is bounded in time and number."""
    apis.world.write_config("[limits]\nconnections = 4\nrequest_s = 1\n")
    with apis.daemon() as daemon:
        (worker,) = children(find_parent(daemon))
        os.kill(worker, signal.SIGKILL)
        assert find_silence(str(apis.published.parent)) is None
        silent = [apis.connect() for _ in range(4)]
        with apis.connect() as beyond:
            status, text = read_answer(beyond)
            assert status == 503
            assert "this agent has 4 connections open already" in text
        for connection in silent:
            assert connection.recv(1) == b""
            connection.close()
        assert children(find_parent(daemon)) == []
        with apis.client() as client:
            assert client.ask("/who")[0] == 200


def test_descriptors_that_a_client_sends_along_are_not_taken(apis: ApiWorld) -> None:
    """They are closed with the connection, and the daemon has as many as before."""
    with apis.daemon() as daemon:
        own = Path(f"/proc/{daemon.process.pid}/fd")
        with apis.client() as client:
            assert client.ask("/who")[0] == 200
        reader, writer = os.pipe()
        with apis.connect() as connection:
            head = f"CONNECT localhost:{apis.server.port} HTTP/1.1\r\nHost: x\r\n\r\n"
            socket.send_fds(connection, [head.encode()], [writer] * 3)
            os.close(writer)
            assert read_answer(connection, "CONNECT")[0] == 200
        assert os.read(reader, 1) == b""
        os.close(reader)
        names = [os.readlink(each) for each in own.iterdir() if os.path.lexists(each)]
        assert not [name for name in names if name.startswith("pipe:") and names.count(name) > 2]


def test_what_cannot_be_recorded_is_refused(apis: ApiWorld) -> None:
    """Before the credential leaves the daemon."""
    with apis.daemon() as daemon, apis.client() as client:
        apis.world.log.unlink()
        apis.world.log.mkdir()
        status, text = client.ask("/who")
        assert status == 403
        assert "the audit log" in text
        assert daemon.process.poll() is None
    assert apis.server.requests == []


def test_a_daemon_without_apis_has_nothing_of_the_broker(world: World) -> None:
    """No socket, no process and no module of it."""
    with Daemon(world, program=("-X", "importtime", "-m", "airlock_daemon")) as daemon:
        assert daemon.shell("exit 0").exit_code == 0
        assert not (world.config / "sockets" / "my" / "https.sock").exists()
        loaded = {line.rpartition("|")[2].strip() for line in daemon.messages().splitlines()}
    assert "airlock_daemon.serving.daemon.served_agents" in loaded
    parts = ("airlock_daemon.serving.daemon.https", "airlock_daemon.serving.request.https")
    rest = ("airlock_daemon.boundary.brokers.https", "cryptography")
    assert not [name for name in loaded if name.startswith((*parts, *rest))]


def test_certificates_that_are_mounted_follow_those_of_the_agent(tmp_path: Path) -> None:
    """What an agent put in their place is not linked, as a mount would follow it on the host."""
    source, target = tmp_path / "my", tmp_path / "containers"
    for folder in (source, target):
        folder.mkdir()
    for name in PUBLISHED:
        (source / name).write_text("first")
    link_published(str(source), str(target))
    (source / "new").write_text("second")
    (source / "new").replace(source / CA)
    (source / BUNDLE).unlink()
    (source / BUNDLE).symlink_to("/etc/shadow")
    for _ in range(2):
        with pytest.raises(Failed, match="is not the file that the HTTPS broker wrote"):
            link_published(str(source), str(target))
        assert (target / CA).read_text() == "second"
        assert (target / BUNDLE).read_text() == "first"
    (source / BUNDLE).unlink()
    with pytest.raises(Failed, match="cannot be made"):
        link_published(str(source), str(target))
    (source / BUNDLE).write_text("third")
    link_published(str(source), str(target))
    assert (target / BUNDLE).read_text() == "third"
    assert (target / TRUSTSTORE).samefile(source / TRUSTSTORE)
    assert sorted(each.name for each in target.iterdir()) == sorted(PUBLISHED)
