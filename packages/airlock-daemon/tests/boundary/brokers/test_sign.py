"""git-sign: commits and tags of a container's git, signed by the human's own ssh-keygen."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from git_world import CLIENT

from approving import reject, wait_for_questions
from commanding import reload, run
from running import Daemon
from talking import Talk
from worlds import World

pytestmark = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None or shutil.which("git") is None,
    reason="git or ssh-keygen is not installed",
)

NAME, EMAIL = "A U Thor", "agent@acme.com"
PERSON = f"{NAME} <{EMAIL}> 1700000000 +0000"
COMMIT = f"tree {'1' * 40}\nauthor {PERSON}\ncommitter {PERSON}\n\nsubject\n".encode()
GRANT = '[sign]\nemails = ["*@acme.com"]\n'
BEGIN = b"-----BEGIN SSH SIGNATURE-----\n"
# Writes what the daemon answers where git looks for the signature, as the shim does.
SIGNER = """#!/bin/sh
[ "$2" = sign ] || exec ssh-keygen "$@"
for last; do :; done
exec {python} {client} {socket} 1 git-sign ssh <"$last" >"$last.sig"
"""


class Signing:
    """A daemon's files whose agent has git-sign, the human's key, and a container's git."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.home.mkdir()
        self.world = World(root / "airlock")
        (self.world.config / "config.toml").write_text(
            '[commands]\nenable = ["git-sign"]\n'
            f'[log]\npath = "{self.world.log}"\n[daemon]\npath = "/usr/bin:/bin"\n'
        )
        self.grant(GRANT)
        self.key = self.make_key("human")
        self.configure("gpg.format", "ssh")
        self.configure("user.signingKey", "~/human.pub")
        self.configure("user.email", EMAIL)
        self.environment = {"SSH_AUTH_SOCK": ""}
        self.daemon: Daemon

    def make_key(self, name: str) -> str:
        """Make a key of the human's; returns its public half."""
        words = ("-q", "-t", "ed25519", "-N", "", "-C", "secret comment", "-f", self.home / name)
        subprocess.run(["ssh-keygen", *words], check=True)
        return (self.home / f"{name}.pub").read_text().rpartition(" secret")[0]

    def grant(self, lines: str) -> None:
        """Write the agent's profile."""
        self.world.write_profile(lines, commands='["git-sign"]')

    def configure(self, key: str, value: str) -> None:
        """Set something in the human's git."""
        file = self.home / ".gitconfig"
        subprocess.run(["git", "config", "--file", file, key, value], check=True)

    @contextmanager
    def running(self) -> Iterator[Daemon]:
        """Run the daemon."""
        environment = {"HOME": str(self.home), **self.environment}
        with Daemon(self.world, environment=environment) as daemon:
            yield daemon

    def ask(
        self, data: bytes, *words: str, streamed: bool = True
    ) -> "subprocess.CompletedProcess[bytes]":
        """Send bytes to be signed as a client does."""
        argv = [sys.executable, str(CLIENT), str(self.world.socket), str(int(streamed)), "git-sign"]
        return subprocess.run(
            [*argv, *(words or ("ssh",))], input=data, capture_output=True, check=False
        )

    def make_client(self) -> None:
        """A repository of the container's, whose git signs all that it makes."""
        work = self.root / "work"
        work.mkdir()
        program = self.root / "git-ssh-keygen"
        places = {"python": sys.executable, "client": CLIENT, "socket": self.world.socket}
        program.write_text(SIGNER.format(**places))
        program.chmod(0o755)
        signers = self.root / "allowed_signers"
        signers.write_text(f'{EMAIL} namespaces="git" {self.key}\n')
        self.git("init", "-q", "-b", "main")
        for key, value in {
            "gpg.format": "ssh",
            "gpg.ssh.program": str(program),
            "gpg.ssh.allowedSignersFile": str(signers),
            # Whatever the container names, the host's key signs.
            "user.signingKey": "/nowhere/key",
            "commit.gpgSign": "true",
            "user.name": NAME,
            "user.email": EMAIL,
        }.items():
            self.git("config", key, value)

    def git(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run the container's git."""
        return subprocess.run(
            ["git", *words],
            cwd=self.root / "work",
            env={"PATH": os.environ["PATH"], "HOME": str(self.root)},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def signing(tmp_path: Path) -> Signing:
    """All of it, not yet running."""
    return Signing(tmp_path)


@pytest.mark.parametrize("streamed", [False, True])
def test_bytes_are_signed_in_messages_and_by_passed_pipes(
    signing: Signing, *, streamed: bool
) -> None:
    """The record says what was signed, by its whole id, and for whom."""
    with signing.running() as daemon:
        done = signing.ask(COMMIT, streamed=streamed)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.startswith(BEGIN)
        (record,) = daemon.records("broker")
    assert record["outcome"] == "allowed"
    assert record["detail"]["emails"] == [EMAIL]
    assert record["detail"]["operation"].startswith(
        f"sign git commit {record['detail']['object'][:7]} subject"
    )


REFUSED = (
    (b"certificate version 0.1\npusher k 1 +0000\nnonce x\n\n", "push-certificate"),
    (b"any text", "object"),
    (b"", "object"),
    (COMMIT.replace(b"\n\n", b"\ngpgsig x\n\n", 1), "headers"),
    (COMMIT + b"x" * (1 << 20), "size"),
    (COMMIT.replace(EMAIL.encode(), b"ceo@other.com"), "sign.emails"),
    (COMMIT.replace(b"author A", b"author CEO <c@acme.com>, A"), "emails"),
)


def test_anything_else_gets_no_signature(signing: Signing) -> None:
    """By passed pipes, as by the shim."""
    with signing.running() as daemon:
        for data, _ in REFUSED:
            done = signing.ask(data, streamed=False)
            assert (done.returncode, done.stdout) == (126, b"")
            assert done.stderr.startswith(b"airlock: ")
        records = daemon.records()
    assert [(each["outcome"], each["layer"], each["rule"]) for each in records] == [
        ("denied", "broker", rule) for _, rule in REFUSED
    ]


def test_other_words_are_refused(signing: Signing) -> None:
    """No word of a client becomes one of ssh-keygen's."""
    with signing.running():
        for words in (("ssh", "x"), ("-Y", "sign"), ("gpg",), ("ssh-key", "-f")):
            done = signing.ask(COMMIT, *words)
            assert (done.returncode, done.stdout) == (126, b""), words


def test_without_a_table_the_human_s_address_alone_is_signed_for(signing: Signing) -> None:
    """It is that of the human's git."""
    signing.grant("")
    with signing.running():
        assert signing.ask(COMMIT).returncode == 0
        assert signing.ask(COMMIT.replace(EMAIL.encode(), b"b@acme.com")).returncode == 126


def test_the_profile_s_key_signs_in_place_of_the_human_s(signing: Signing) -> None:
    """The container can ask which it is, and is not told its comment."""
    key = signing.make_key("agents")
    with signing.running():
        assert signing.ask(b"", "ssh-key").stdout == f"key::{signing.key}\n".encode()
        signing.grant(f'{GRANT}key = "~/agents"\n')
        assert reload(signing.world).returncode == 0
        assert signing.ask(b"", "ssh-key").stdout == f"key::{key}\n".encode()
        assert signing.ask(COMMIT).stdout.startswith(BEGIN)
        (signing.home / "agents.pub").unlink()
        assert signing.ask(b"", "ssh-key").stdout == f"key::{key}\n".encode()


def test_nothing_of_a_private_key_is_told(signing: Signing) -> None:
    """Even where it stands in the file of a public one."""
    shutil.copy(signing.home / "human", signing.home / "odd.pub")
    signing.grant(f'{GRANT}key = "~/odd.pub"\n')
    with signing.running():
        done = signing.ask(b"", "ssh-key")
        assert (done.returncode, done.stdout) == (126, b"")
        assert b"PRIVATE" not in done.stderr


def test_a_literal_key_is_one_that_the_agent_of_the_host_holds(signing: Signing) -> None:
    """As user.signingKey has it where no file is."""
    socket = str(signing.root / "agent")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.PIPE)
    try:
        assert agent.stdout is not None
        agent.stdout.readline()
        environment = {**os.environ, "SSH_AUTH_SOCK": socket}
        key = str(signing.home / "human")
        subprocess.run(["ssh-add", "-q", key], env=environment, check=True)
        os.unlink(key)
        signing.configure("user.signingKey", f"key::{signing.key}")
        signing.environment = {"SSH_AUTH_SOCK": socket}
        with signing.running():
            assert signing.ask(COMMIT).stdout.startswith(BEGIN)
    finally:
        agent.kill()
        agent.communicate()


def test_a_key_in_a_workspace_is_not_used(signing: Signing) -> None:
    """An agent could put a link to another key there."""
    workspace = signing.world.workspace
    (workspace / "key").symlink_to(signing.home / "human")
    (workspace / "key.pub").symlink_to(signing.home / "human.pub")
    mounts = f'[workspace]\nmounts = {{ "/w" = "{workspace}" }}\n'
    signing.grant(f'{GRANT}key = "{workspace}/key"\n{mounts}')
    with signing.running():
        done = signing.ask(COMMIT)
        assert (done.returncode, done.stdout) == (126, b"")
        assert b"the key to sign with is in a workspace" in done.stderr


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("gpg.format", "openpgp", "no ssh key to sign with"),
        ("user.signingKey", "~/missing.pub", "is not there"),
        ("user.signingKey", "relative.pub", "is not there"),
    ],
)
def test_without_a_key_the_refusal_says_what_to_write(
    signing: Signing, key: str, value: str, words: str
) -> None:
    """It names the line of the profile."""
    signing.configure(key, value)
    with signing.running():
        done = signing.ask(COMMIT)
        assert done.returncode == 126
        assert words in done.stderr.decode()
        assert b"key = " in done.stderr


def test_a_key_that_cannot_be_used_is_a_failure_without_its_words(signing: Signing) -> None:
    """What ssh-keygen says is the host's own."""
    (signing.home / "human").unlink()
    with signing.running() as daemon:
        done = signing.ask(COMMIT)
        assert (done.returncode, done.stdout) == (126, b"")
        assert b"ssh-keygen on the host has not signed it" in done.stderr
        assert str(signing.home).encode() not in done.stderr
        assert [each["outcome"] for each in daemon.records("broker")] == ["failed"]


@pytest.mark.parametrize(
    "lines",
    [
        '[sign]\nemails = ["b@acme.com"]\n',
        "[sign]\ncommits = false\n",
        f'{GRANT}key = "~/agents"\n',
    ],
)
def test_what_was_withdrawn_meanwhile_is_not_signed(signing: Signing, lines: str) -> None:
    """A client may begin a request, and send the commit when the profile has changed."""
    signing.make_key("agents")
    features = ("base64", "stdin")
    with (
        signing.running() as daemon,
        Talk(daemon, "ssh", features, command=("git-sign",)) as talk,
    ):
        talk.start()
        signing.grant(lines)
        assert reload(signing.world).returncode == 0
        talk.type(COMMIT)
        talk.say("stdin", eof=True)
        assert talk.error["data"]["layer"] == "broker"
        assert talk.output["stdout"] == b""


@contextmanager
def gpg_home() -> Iterator[tuple[str, str]]:
    """A home of gpg with a key; yields its path, short enough for sockets, and the fingerprint."""
    home = tempfile.mkdtemp(prefix="gpg-")
    gpg = ("gpg", "--homedir", home, "--batch", "--quiet")
    try:
        made = ("--passphrase", "", "--quick-generate-key", EMAIL, "ed25519", "sign")
        subprocess.run([*gpg, *made], check=True, capture_output=True)
        listed = subprocess.run([*gpg, "--with-colons", "-K"], check=True, capture_output=True)
        (line,) = (each for each in listed.stdout.splitlines() if each.startswith(b"fpr:"))
        yield home, line.decode().split(":")[9]
    finally:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
        shutil.rmtree(home, ignore_errors=True)


@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")
def test_gpg_signs_by_the_human_s_agent(signing: Signing) -> None:
    """For a key that is a fingerprint, and with the word on stderr that git waits for."""
    with gpg_home() as (home, fingerprint):
        signing.environment = {"GNUPGHOME": home}
        (signing.home / "own-gpg").symlink_to(shutil.which("gpg") or "")
        signing.configure("gpg.program", "~/own-gpg")
        signing.grant(f'{GRANT}key = "{fingerprint}"\n')
        with signing.running():
            done = signing.ask(COMMIT, "openpgp")
            assert done.returncode == 0, done.stderr
            assert done.stderr == b"[GNUPG:] SIG_CREATED D\n"
            (signing.root / "signature").write_bytes(done.stdout)
            words = ("gpg", "--homedir", home, "--verify", signing.root / "signature", "-")
            subprocess.run(words, input=COMMIT, check=True, capture_output=True)
            refused = signing.ask(COMMIT.replace(EMAIL.encode(), b"b@other.com"), "openpgp")
            assert (refused.returncode, refused.stdout) == (126, b"")
            assert b"one of OpenPGP" in signing.ask(COMMIT).stderr
    signing.grant(f'{GRANT}key = "~/human"\n')
    with signing.running():
        assert b"one of ssh" in signing.ask(COMMIT, "openpgp").stderr


def test_a_signature_waits_for_a_person(signing: Signing) -> None:
    """The whole commit is shown, and is what the answer is for; none lasts."""
    signing.grant(f'{GRANT}[approve]\nrequire = ["sign *"]\n')
    with signing.running() as daemon, ThreadPoolExecutor() as pool:
        waiting = pool.submit(signing.ask, COMMIT)
        (question,) = wait_for_questions(signing.world)
        refused = run(signing.world, "approve", question["id"], "--for", "10m", status=1)
        run(signing.world, "approve", question["id"])
        signed = waiting.result()
        other = pool.submit(signing.ask, COMMIT.replace(b"subject", b"another"))
        again = reject(signing.world, "not this one")
        rejected = other.result()
        records = daemon.records("broker")
    assert question["operation"].startswith("sign git commit ")
    assert question["operation"].endswith(" subject")
    assert question["details"] == [["the commit", COMMIT.decode().split("\n")]]
    assert "can be approved once only" in refused.stderr
    assert signed.returncode == 0, signed.stderr
    assert signed.stdout.startswith(BEGIN)
    assert f"approval {question['id']} is pending".encode() in signed.stderr
    assert again["id"] != question["id"]
    assert rejected.returncode != 0
    assert b"not this one" in rejected.stderr
    assert [each["outcome"] for each in records] == ["allowed", "denied"]
    assert records[0]["approval"]["id"] == question["id"]
