"""Tests of `airlock_daemon.serving.request.sources`, with real programs, files and variables."""

import base64
import datetime as dt
import json
import math
import os
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from airlock_daemon.boundary.command import NativeLauncher, find_launcher
from airlock_daemon.errors import Failed
from airlock_daemon.serving.audit.ledger import Ledger
from airlock_daemon.serving.request import sources
from airlock_daemon.serving.request.sources import Secret, Sources
from airlock_daemon.serving.request.state import AgentState, DaemonState
from airlock_daemon.setup.generation import Generation
from airlock_daemon.setup.stored import Secrets
from airlock_modules.apis import Api, Credential, Source
from airlock_modules.apis.aws import Grant
from worlds import World

CANARY = "c4n4ry-7f3a"
KINDS = ("CERTIFICATE", "PRIVATE KEY")


class Host:
    """A daemon's state without a daemon, and programs that count how often they were run."""

    def __init__(self, world: World) -> None:
        self.world = world
        setup = world.load()
        self.state = setup.state
        self.shared = DaemonState(
            Ledger(setup.config.log, agents=1),
            NativeLauncher(find_launcher(), nofile=1024),
            groups="none of this test",
            search_path="",
        )
        self.agent = AgentState(setup.generations["my"], self.shared)
        self.sources = Sources(self.shared, self.state)
        self.runs = world.root / "runs"

    def command(self, script: str) -> Api:
        """An API whose credential a program prints, which notes that it ran."""
        program = self.world.root / "program"
        program.write_text(f"#!/bin/sh\necho run >> {self.runs}\n{script}\n")
        program.chmod(0o755)
        return api("command", str(program), "auth", "token")

    @property
    def count(self) -> int:
        """How often the program ran."""
        return len(self.runs.read_text().splitlines()) if self.runs.exists() else 0

    async def get(self, wanted: Api) -> str:
        """The value of a credential."""
        return (await self.sources.get(self.agent, wanted)).value

    async def fail(self, wanted: Api) -> str:
        """Why there is no credential, and what can be done."""
        with pytest.raises(Failed) as caught:
            await self.sources.get(self.agent, wanted)
        said = f"{caught.value.message}; {caught.value.hint}"
        assert said.startswith("there is no credential for svc now: ")
        assert CANARY not in said
        return said.removeprefix("there is no credential for svc now: ")

    def reload(self) -> None:
        """Read the files again."""
        self.agent.adopt(self.world.load().generations["my"])


def api(kind: str, *words: str) -> Api:
    source = Source(kind=kind, words=words)  # type: ignore[arg-type]
    credential = Credential(kind="header", source=source, placeholder="tok_{36}")
    return Api(name="svc", module="svc", hosts=("api.example.com",), credential=credential)


@pytest.fixture
async def host(world: World) -> AsyncIterator[Host]:
    """A world's state, closed at the end."""
    made = Host(world)
    trio.lowlevel.add_instrument(made.shared.rounds)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.shared.rounds.run)
        nursery.start_soon(made.shared.starts.run)
        yield made
        nursery.cancel_scope.cancel()
    made.shared.close()


async def test_what_a_command_prints_is_the_credential(host: Host) -> None:
    """It runs in an empty directory, with the profile's variables, no terminal and no input."""
    host.world.write_profile('[env]\nset = { WHO = "me" }\n')
    host.reload()
    wanted = host.command('cat; tty >&2; echo "$WHO-$(ls -A | wc -l)-$#"')
    assert await host.get(wanted) == "me-0-2"


async def test_two_requests_wait_for_one_run(host: Host) -> None:
    """Also for one that fails, which no request has run again at once, but a reload has."""
    seen: list[Secret] = []
    wanted = host.command("echo token")

    async def get() -> None:
        seen.append(await host.sources.get(host.agent, wanted))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(get)
    assert (host.count, seen) == (1, [Secret("token", 1)] * 5)
    host.reload()
    failing = host.command("exit 3")
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(host.fail, failing)
    assert host.count == 2
    await host.fail(failing)
    assert host.count == 2
    host.reload()
    await host.fail(failing)
    assert host.count == 3


async def test_who_goes_away_leaves_the_run_to_those_that_wait(host: Host) -> None:
    """It is started again for them."""
    ready = host.world.root / "ready"
    wanted = host.command(f"[ -e {ready} ] || {{ touch {ready}; exec sleep 600; }}; echo token")
    seen: list[str] = []

    async def get() -> None:
        seen.append(await host.get(wanted))

    async with trio.open_nursery() as nursery:
        first = trio.CancelScope()

        async def begin() -> None:
            with first:
                await get()

        nursery.start_soon(begin)
        while not ready.exists():
            await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.start_soon(get)
        await trio.testing.wait_all_tasks_blocked()
        first.cancel()
    assert (seen, host.count) == (["token"], 2)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (f"echo {CANARY} >&2; echo {CANARY}; exit 4", " ended with status 4; "),
        ("true", " is empty; "),
        (f"echo {CANARY}; echo b", " has more than one line; "),
        (f"printf '{CANARY}\\033[2J'", " has control characters in it; "),
        ("printf 'caf\\303\\251'", " has characters that no header may have; "),
        ("head -c 20000 /dev/zero | tr '\\0' x", " has more than 16384 bytes; "),
    ],
)
async def test_a_failure_shows_nothing_that_the_command_said(
    host: Host, script: str, said: str
) -> None:
    """It names the command, for a person to run."""
    told = await host.fail(host.command(script))
    assert said in told
    assert told.endswith(f"as the user of the daemon: {host.world.root}/program auth token")


async def test_a_command_that_does_not_end_is_ended(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all that it has started."""
    monkeypatch.setattr(sources, "ANSWER_S", 0.2)
    assert "did not answer in 0.2 s" in await host.fail(host.command("sleep 600 & sleep 600"))


async def test_a_program_that_prints_credentials_has_its_own_way_to_log_in(host: Host) -> None:
    """Which a person can type."""
    gh = host.world.root / "gh"
    said = await host.fail(api("command", str(gh), "auth", "token"))
    assert said.startswith(f"{gh} is not an executable on the host; a person on the host can ")
    gh.write_text("#!/bin/sh\nexit 1\n")
    gh.chmod(0o755)
    said = await host.fail(api("command", str(gh), "auth", "token"))
    assert said.endswith(
        "a person on the host can log in, as the user of the daemon: gh auth login"
    )


async def test_a_file_has_the_credential(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new value in it is used as soon as it is read again."""
    file = host.world.root / "token"
    file.write_text("one\n")
    first = await host.sources.get(host.agent, api("file", str(file)))
    file.write_text("two\n")
    assert await host.sources.get(host.agent, api("file", str(file))) == first
    monkeypatch.setattr(sources, "FRESH_S", 0.0)
    second = await host.sources.get(host.agent, api("file", str(file)))
    assert (first.value, second.value) == ("one", "two")
    assert second.version > first.version
    assert await host.sources.get(host.agent, api("file", str(file))) == second


async def test_a_file_that_somebody_else_chooses_is_not_read(host: Host) -> None:
    """In a workspace, by a link through one, writable for others, or one of Airlock's own."""
    world = host.world
    world.write_profile(f'[workspace]\nmounts = {{ "/w" = "{world.workspace}" }}\n')
    host.reload()
    own = world.root / "own"
    own.write_text(f"{CANARY}\n")
    inside = world.workspace / "token"
    inside.symlink_to(own)
    through = world.root / "through"
    through.symlink_to(inside)
    for path in (inside, through):
        assert "reached through a workspace" in await host.fail(api("file", str(path)))
    Secrets(host.state).store("svc", CANARY)
    stored = host.state.path("stored/svc")
    assert "is not read: it lies in " in await host.fail(api("file", stored))
    own.chmod(0o666)
    assert "is writable for everybody" in await host.fail(api("file", str(own)))
    own.chmod(0o600)
    assert await host.get(api("file", str(own))) == CANARY


@pytest.mark.parametrize("kind", ["none", "directory", "fifo", "large"])
async def test_what_is_no_small_file_is_not_read(host: Host, kind: str) -> None:
    """Nor does it keep anybody waiting."""
    path = host.world.root / "token"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path, 0o600)
    elif kind == "large":
        path.write_text("x" * 20_000)
    said = await host.fail(api("file", str(path)))
    assert "cannot be read" in said or "is not a file of a credential's size" in said


async def test_a_variable_of_the_daemon_has_the_credential(host: Host) -> None:
    """As it was when the daemon was started."""
    assert (await host.fail(api("env", "TOKEN_X"))).startswith("there is no variable TOKEN_X of")
    host.shared.environment["TOKEN_X"] = "token"
    assert await host.get(api("env", "TOKEN_X")) == "token"


async def test_a_stored_credential_is_used_at_once(host: Host) -> None:
    """The hint of a missing one is the command that stores it."""
    assert (await host.fail(api("stored", "svc"))).endswith("airlock login svc")
    Secrets(host.state).store("svc", "token")
    assert await host.get(api("stored", "svc")) == "token"


async def test_a_refused_credential_is_fetched_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, and not while it is as new as can be: no agent has a command run for each request."""
    wanted = host.command(f"wc -l < {host.runs}")
    first = await host.sources.get(host.agent, wanted)
    host.sources.spend(host.agent, "svc", first.version)
    assert await host.sources.get(host.agent, wanted) == first
    monkeypatch.setattr(sources, "SETTLED_S", 0.0)
    host.sources.spend(host.agent, "svc", first.version)
    second = await host.sources.get(host.agent, wanted)
    assert (first.value, second.value) == ("1", "2")
    host.sources.spend(host.agent, "svc", first.version)
    assert await host.sources.get(host.agent, wanted) == second


async def test_a_reload_has_it_fetched_again(host: Host) -> None:
    """A person who has logged in anew need not wait."""
    wanted = host.command(f"wc -l < {host.runs}")
    assert await host.get(wanted) == "1"
    assert await host.get(wanted) == "1"
    host.reload()
    assert await host.get(wanted) == "2"


async def test_what_nobody_uses_is_forgotten(
    host: Host, autojump_clock: trio.testing.MockClock
) -> None:
    """Five minutes after its last use."""
    autojump_clock.autojump_threshold = math.inf
    host.shared.environment["TOKEN_X"] = CANARY
    wanted = api("env", "TOKEN_X")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(host.sources.forget_unused)
        first = await host.sources.get(host.agent, wanted)
        autojump_clock.jump(sources.KEPT_S - 1)
        await trio.testing.wait_all_tasks_blocked()
        assert await host.sources.get(host.agent, wanted) == first
        autojump_clock.jump(sources.KEPT_S - 1)
        await trio.testing.wait_all_tasks_blocked()
        assert await host.sources.get(host.agent, wanted) == first
        autojump_clock.jump(sources.KEPT_S + 1)
        await trio.testing.wait_all_tasks_blocked()
        assert not host.sources._kept
        second = await host.sources.get(host.agent, wanted)
        assert second.version > first.version
        nursery.cancel_scope.cancel()


def test_no_message_shows_a_secret() -> None:
    """Not even that of a fault of our own."""
    assert CANARY not in repr(Secret(CANARY, 1))


def exported(host: Host, ends_in_s: float) -> Api:
    """AWS's keys of a session that ends then, as the aws command prints them."""
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=ends_in_s)
    keys = {
        "Version": 1,
        "AccessKeyId": "ASIA7",
        "SecretAccessKey": CANARY,
        "SessionToken": "token",
        "Expiration": ends.isoformat(),
    }
    wanted = host.command(f"cat <<'END'\n{json.dumps(keys, indent=4)}\nEND")
    assert wanted.credential is not None
    source = replace(wanted.credential.source, format="aws")
    return replace(wanted, credential=replace(wanted.credential, kind="aws", source=source))


async def test_keys_of_aws_are_fetched_again_before_they_end(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a session that has hours left are fetched once, and of one that ends soon seldom:
    no agent has a command run for each request.
    """
    long = exported(host, 3600)
    assert json.loads(await host.get(long)) == {
        "id": "ASIA7",
        "secret": CANARY,
        "token": "token",
        "account": "",
    }
    await host.get(long)
    assert host.count == 1
    host.reload()
    short = exported(host, 30)
    for _ in range(3):
        await host.get(short)
    assert host.count == 2
    monkeypatch.setattr(sources, "SETTLED_S", 0.0)
    monkeypatch.setattr(sources, "FRESH_S", 0.0)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(host.get, short)
    assert host.count == 3


@pytest.mark.parametrize(
    ("buckets", "said", "account"),
    [
        ("acme-*", '{"UserId": "A", "Account": "123456789012"}', "123456789012"),
        ("acme-*", "no network", ""),
        ("acme-*", '{"Account": "12345678901\\n2"}', ""),
        ("acme-data", '{"Account": "123456789012"}', ""),
    ],
)
async def test_the_account_of_keys_is_asked_for_where_it_decides(
    host: Host, buckets: str, said: str, account: str
) -> None:
    """It owns the buckets that a pattern matches, and `aws` does not export it."""
    given = await host.get(with_identity(host, f"echo '{said}'", buckets))
    assert json.loads(given)["account"] == account


async def test_an_account_that_was_not_learned_is_asked_for_again(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Keys without an end would otherwise have none until a reload; the log says why, once."""
    for name in ("SETTLED_S", "FRESH_S", "RENEWED_S"):
        monkeypatch.setattr(sources, name, 0.0)
    mended = host.world.root / "mended"
    identity = '{"Account": "123456789012"}'
    wanted = with_identity(host, f"[ -e {mended} ] && echo '{identity}'", "acme-*")
    for _ in range(2):
        assert not json.loads(await host.get(wanted))["account"]
    (line,) = caplog.messages
    assert "the account of its AWS keys is not known" in line
    assert "sts get-caller-identity" in line
    mended.touch()
    known = await host.sources.get(host.agent, wanted)
    assert json.loads(known.value)["account"] == "123456789012"
    mended.unlink()
    assert await host.sources.get(host.agent, wanted) == known


def with_identity(host: Host, script: str, buckets: str) -> Api:
    """AWS's keys without an end, and `aws` with a script for the account of them."""
    keys = json.dumps({"Version": 1, "AccessKeyId": "AKIA7", "SecretAccessKey": CANARY})
    program = host.world.root / "aws"
    asks = "sts get-caller-identity --output json --profile readonly"
    program.write_text(
        f"#!/bin/sh\nif [ \"$*\" = '{asks}' ]; then {script}; exit; fi\n"
        f"[ \"$1\" = configure ] && echo '{keys}'\n"
    )
    program.chmod(0o755)
    wanted = api("command", str(program), *sources._EXPORT, "--profile", "readonly")
    assert wanted.credential is not None
    source = replace(wanted.credential.source, format="aws")
    credential = replace(wanted.credential, kind="aws", source=source)
    grant = Grant(profile="readonly", buckets=(buckets,))
    return replace(wanted, credential=credential, aws=grant)


async def test_keys_that_have_ended_are_not_used(host: Host) -> None:
    """The person is told how to log in, with the name of the profile."""
    said = await host.fail(exported(host, -1))
    assert "has ended; a person on the host can" in said
    host.reload()
    program = host.world.root / "aws"
    program.write_text(f"#!/bin/sh\necho {CANARY} >&2\nexit 255\n")
    program.chmod(0o755)
    words = (str(program), "configure", "export-credentials", "--profile", "readonly")
    said = await host.fail(api("command", *words))
    assert said.endswith("as the user of the daemon: aws sso login --profile readonly")


@pytest.mark.parametrize(
    "printed", ["token", "{}", '{"Version": 1, "AccessKeyId": "", "SecretAccessKey": ""}']
)
async def test_what_is_no_key_of_aws_is_not_used(host: Host, printed: str) -> None:
    """Nothing of it is shown."""
    wanted = host.command(f"echo '{printed}'")
    assert wanted.credential is not None
    source = replace(wanted.credential.source, format="aws")
    said = await host.fail(replace(wanted, credential=replace(wanted.credential, source=source)))
    assert "is not what aws configure export-credentials prints" in said or "has no keys" in said


def in_kubeconfig(host: Host, user: dict[str, object], *, server: str = "https://k8s:6443") -> Api:
    """The API of a cluster, whose kubeconfig a program prints."""
    config = {
        "current-context": "work",
        "contexts": [{"name": "work", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user}],
    }
    wanted = host.command(f"cat <<'END'\n{json.dumps(config)}\nEND")
    assert wanted.credential is not None
    source = replace(wanted.credential.source, format="kubeconfig")
    credential = replace(wanted.credential, source=source)
    return replace(wanted, hosts=("k8s",), ports=(6443,), credential=credential)


def print_credential(**status: str) -> str:
    """A script that prints an ExecCredential, as a plugin of kubectl's does that is asked to."""
    said = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1"}
    text = json.dumps({**said, "status": status})
    return f'test -n "$KUBERNETES_EXEC_INFO" && cat <<END\n{text}\nEND\n'


async def test_the_user_of_a_kubeconfig_has_the_credential(host: Host) -> None:
    """A token, a file of one, or a certificate; not when the cluster is at another place."""
    assert await host.get(in_kubeconfig(host, {"token": CANARY})) == CANARY
    host.reload()
    file = host.world.root / "token"
    file.write_text(f"{CANARY}2\n")
    file.chmod(0o600)
    assert await host.get(in_kubeconfig(host, {"tokenFile": str(file)})) == f"{CANARY}2"
    host.reload()
    texts = [f"-----BEGIN {kind}-----\nTUlJ\n-----END {kind}-----" for kind in KINDS]
    pair = [base64.b64encode(text.encode()).decode() for text in texts]
    user: dict[str, object] = {"client-certificate-data": pair[0], "client-key-data": pair[1]}
    secret = await host.sources.get(host.agent, in_kubeconfig(host, user))
    assert (secret.value, secret.certificate) == ("", "\n".join((*texts, "")))
    assert "TUlJ" not in repr(secret)
    host.reload()
    said = await host.fail(in_kubeconfig(host, {"token": CANARY}, server="https://evil"))
    assert "names another server" in said
    assert said.endswith("airlock reload")


async def test_a_program_of_a_kubeconfig_runs_in_the_daemon(host: Host) -> None:
    """With the variables that it is to have."""
    program = host.world.root / "get-token"
    ends = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)).isoformat()
    printed = print_credential(token="$EXTRA", expirationTimestamp=ends)
    program.write_text(f"#!/bin/sh\necho run >> {host.runs}\n{printed}")
    program.chmod(0o755)
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": str(program),
        "env": [{"name": "EXTRA", "value": CANARY}],
    }
    wanted = in_kubeconfig(host, {"exec": plugin})
    assert await host.get(wanted) == CANARY
    assert await host.get(wanted) == CANARY
    assert host.count == 2
    host.reload()
    program.write_text(f"#!/bin/sh\necho {CANARY} >&2\nexit 3\n")
    assert "ended with status 3" in await host.fail(wanted)


async def test_a_program_that_an_agent_can_write_is_not_run(host: Host) -> None:
    """In a workspace, by a link or an interpreter there, of a plugin, or writable for others."""
    world = host.world
    world.write_profile(f'[workspace]\nmounts = {{ "/w" = "{world.workspace}" }}\n')
    host.reload()
    inside, script = world.workspace / "program", world.root / "script"
    inside.write_text(f"#!/bin/sh\necho run >> {host.runs}\necho {CANARY}\n")
    script.write_text(f"#!/usr/bin/env {inside}\n")
    link = world.root / "link"
    link.symlink_to(inside)
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(inside)}
    for path in (inside, script):
        path.chmod(0o755)
    for path in (inside, script, link):
        said = await host.fail(api("command", str(path)))
        assert f'{path}" is not run: ' in said
        assert said.endswith(
            "is reached through a workspace; a person on the host can do this: move it out of there"
        )
    assert not host.runs.exists()
    said = await host.fail(in_kubeconfig(host, {"exec": plugin}))
    assert "is reached through a workspace" in said
    host.reload()
    wanted = host.command(f"echo {CANARY}")
    (world.root / "program").chmod(0o777)
    assert "is writable for everybody; " in await host.fail(wanted)
    assert host.count == 1


WRITTEN_ARGUMENTS = (
    ("{inside}",),
    ("-c", "exec {inside}"),
    ("-c", "printf x; . '{inside}'"),
    ("{link}",),
    ("-eu", "--", "{shared}"),
    ("-c", '. "$HOME/script"'),
    ("-c", ". ${{HOME}}/script"),
    ("-c", ". $NOT_SET{inside}"),
    ("-c", "PATH={open}:$PATH script"),
    ("-c", "[ ! -e {open}/later ] || exit; . {inside}"),
)


@pytest.mark.parametrize("words", WRITTEN_ARGUMENTS)
async def test_a_command_whose_argument_an_agent_can_write_is_not_run(
    host: Host, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """A shell runs what it is given: in a workspace, by a link there, or writable for others.

    It is run where the guard is off, so that this shows something.
    """
    world = host.world
    world.write_profile(f'[workspace]\nmounts = {{ "/w" = "{world.workspace}" }}\n')
    host.reload()
    inside, shared, link = world.workspace / "script", world.root / "shared", world.root / "link"
    monkeypatch.setenv("HOME", str(world.workspace))
    monkeypatch.setattr(host.shared, "environment", dict(os.environ))
    opened = world.root / "open"
    opened.mkdir()
    for path in (inside, shared, opened / "script"):
        path.write_text(f"#!/bin/sh\necho run >> {host.runs}\necho {CANARY}\n")
        path.chmod(0o755)
    shared.chmod(0o777)
    opened.chmod(0o777)
    link.symlink_to(inside)
    places = {"inside": inside, "shared": shared, "link": link, "open": opened}
    filled = (word.format(**places) for word in words)
    wanted = api("command", "/bin/sh", *filled)
    said = await host.fail(wanted)
    assert "is not run: " in said
    assert "a workspace" in said or "is writable for everybody" in said
    assert not host.runs.exists()
    monkeypatch.setattr(Generation, "find_command_problem", lambda *_: None)
    with suppress(Failed):
        await host.sources.get(host.agent, wanted)
    assert host.count == 1


async def test_arguments_and_variables_of_a_plugin_are_looked_at_too(host: Host) -> None:
    """What does not exist yet in a workspace counts; other words that look like paths do not."""
    world = host.world
    world.write_profile(f'[workspace]\nmounts = {{ "/w" = "{world.workspace}" }}\n')
    host.reload()
    printing = print_credential(token="token")
    plugin: dict[str, object] = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "/bin/sh",
        "args": ["-c", f"{printing}: https://example.com/a > /dev/null"],
    }
    assert await host.get(in_kubeconfig(host, {"exec": plugin})) == "token"
    host.reload()
    plugin["env"] = [{"name": "ENV", "value": f"{world.workspace}/later"}]
    said = await host.fail(in_kubeconfig(host, {"exec": plugin}))
    assert "is reached through a workspace" in said


async def test_a_variable_of_the_profile_that_leads_into_a_workspace_is_withheld(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program would be configured by what an agent wrote there; with the guard off it is."""
    world = host.world
    variables = f'AWS_PROFILE = "readonly", AWS_CONFIG_FILE = "{world.workspace}/later"'
    world.write_profile(
        f'[workspace]\nmounts = {{ "/w" = "{world.workspace}" }}\n[env]\nset = {{ {variables} }}\n'
    )
    host.reload()
    wanted = host.command('echo "$AWS_PROFILE${AWS_CONFIG_FILE+:configured}"')
    assert await host.get(wanted) == "readonly"
    host.reload()
    monkeypatch.setattr(Generation, "names_written", lambda *_: False)
    assert await host.get(wanted) == "readonly:configured"


async def test_a_program_may_print_an_exec_credential_for_any_api(host: Host) -> None:
    """Which it is told to do; for an API that wants a certificate a token is none."""
    wanted = host.command(print_credential(token=CANARY))
    assert wanted.credential is not None
    source = replace(wanted.credential.source, format="exec-credential")
    header = replace(wanted.credential, source=source)
    assert await host.get(replace(wanted, credential=header)) == CANARY
    host.reload()
    certificate = replace(header, kind="client-certificate", headers=(), placeholder="")
    assert "has no certificate" in await host.fail(replace(wanted, credential=certificate))
