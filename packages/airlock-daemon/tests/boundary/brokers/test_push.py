"""git of a client over the broker: what it fetches and pushes, and what it is refused."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from git_world import CLIENT, Remote, make_world

from running import Daemon
from worlds import ANY_REF, World

GRANT = f'[git]\npush = ["host{{root}}/*"]\n{ANY_REF}protect = ["refs/heads/main"]\n'


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An agent that may push to the repositories there, but not to main."""
    world = make_world(tmp_path)
    world.write_profile(GRANT.replace("{root}", str(tmp_path)))
    return world


@pytest.fixture
def remote(world: World) -> Iterator[Remote]:
    """The daemon runs."""
    with Daemon(world) as daemon:
        yield Remote(world, daemon)


@pytest.mark.parametrize(
    ("words", "streamed"),
    [
        (("HEAD:main",), False),
        (("HEAD:main",), True),
        (("--mirror",), False),
        (("--all",), True),
        (("+HEAD:refs/heads/main",), False),
        (("--atomic", "HEAD:x", "HEAD:Main"), True),
    ],
)
def test_a_protected_branch_stays(
    remote: Remote, words: tuple[str, ...], *, streamed: bool
) -> None:
    """By whatever spelling; git shows why, and nothing of such a push arrives."""
    remote.streamed = streamed
    pushed = remote.git("push", "origin", *words)
    assert pushed.returncode == 1, pushed.stderr
    assert "(airlock: [git] protect forbids it; allowed: refs/heads/**, refs/" in pushed.stderr
    assert remote.refs() == []
    (record,) = remote.daemon.records("broker")
    assert (record["outcome"], record["rule"]) == ("denied", "protect")
    assert record["detail"]["bytes"] == 0


def test_what_is_deleted_brings_no_pack(remote: Remote) -> None:
    """Such a refusal is answered without waiting for one."""
    remote.git("push", "--quiet", "origin", "HEAD:agent")
    deleted = remote.git("push", "origin", "--delete", "agent")
    assert deleted.returncode == 1
    assert "deleting is not granted by [git] delete" in deleted.stderr
    assert remote.refs() == ["refs/heads/agent"]


def test_a_profile_narrows_by_rules_of_git(remote: Remote) -> None:
    """What git itself would be refused, git-remote is in effect."""
    text = GRANT.replace("{root}", str(remote.world.root)) + '[deny]\ngit = ["push & --delete"]\n'
    remote.world.write_profile(text.replace("protect", "delete = true\nprotect"))
    assert remote.daemon.stop() == 0
    with Daemon(remote.world) as daemon:
        remote.daemon = daemon
        remote.git("push", "--quiet", "origin", "HEAD:agent")
        deleted = remote.git("push", "origin", "--delete", "agent")
    assert "[remote rejected]" in deleted.stderr
    assert "(airlock: git with " in deleted.stderr
    assert remote.refs() == ["refs/heads/agent"]


@pytest.mark.parametrize("words", ["-l deploy", "-o User=deploy -l other"])
@pytest.mark.parametrize("user", ["deploy", "git"])
def test_whom_the_profiles_ssh_comes_as_is_judged_and_recorded(
    remote: Remote, words: str, user: str
) -> None:
    """ssh takes that user before the one of the destination, which is the client's to say."""
    command = f'[env]\nset = {{ GIT_SSH_COMMAND = "ssh {words}" }}\n'
    place = f"deploy@host{remote.world.root}/server"
    remote.world.write_profile(
        f'[git]\npush = ["{place.replace("deploy", user)}"]\n{ANY_REF}{command}',
        commands='["git-remote"]',
    )
    assert remote.daemon.stop() == 0
    with Daemon(remote.world) as daemon:
        remote.daemon = daemon
        pushed = remote.git("push", f"ssh://git@host{remote.repository}", "HEAD:x")
        records = daemon.records("broker")
    if user == "git":
        assert f'this agent may not push to "{place}"' in pushed.stderr
        assert remote.refs() == []
        return
    assert pushed.returncode == 0, pushed.stderr
    assert [each["detail"]["destination"] for each in records] == [f"ssh://{place}"]


def test_a_key_that_is_gone_means_no_other_key(remote: Remote) -> None:
    """ssh would pass over it and offer the human's own, so that it is not started."""
    key = remote.world.root / "key"
    key.touch()
    remote.world.write_profile(
        GRANT.replace("{root}", str(remote.world.root))
        + f'[env]\nset = {{ GIT_SSH_COMMAND = "ssh -i {key} -o IdentitiesOnly=yes" }}\n',
        commands='["git-remote"]',
    )
    assert remote.daemon.stop() == 0
    with Daemon(remote.world) as daemon:
        remote.daemon = daemon
        key.rename(f"{key}.gone")
        refused = remote.git("push", "origin", "HEAD:agent")
        assert f"GIT_SSH_COMMAND cannot be used for git-remote: -i {key}" in refused.stderr
        assert "there is no such file" in refused.stderr
        assert (remote.notes, remote.refs()) == ([], [])
        key.with_name("key.gone").rename(key)
        assert remote.git("push", "origin", "HEAD:agent").returncode == 0
    assert str(key) in remote.notes


def test_a_rule_in_small_letters_holds_for_any(remote: Remote) -> None:
    """Most forges find a repository, and some file systems a ref, by any case of its letters."""
    text = GRANT.replace("{root}", str(remote.world.root))
    rules = '[deny]\ngit = ["fetch & *secret*", "push & refs/heads/release*"]\n'
    remote.world.write_profile(text + rules)
    assert remote.daemon.stop() == 0
    with Daemon(remote.world) as daemon:
        remote.daemon = daemon
        pushed = remote.git("push", "origin", "HEAD:Release1")
        assert "(airlock: git with " in pushed.stderr
        fetched = remote.git("ls-remote", f"ssh://host{remote.world.root}/SECRET.git")
        assert "airlock: git with " in fetched.stderr
    assert remote.refs() == []


@pytest.mark.parametrize("streamed", [False, True])
def test_what_the_remote_says_of_a_fault_is_told(remote: Remote, *, streamed: bool) -> None:
    """Its stderr and its exit status, whichever way stdout goes."""
    remote.streamed = streamed
    listed = remote.git("ls-remote", f"ssh://host{remote.world.root}/none.git")
    assert listed.returncode == 128
    assert "none.git' does not appear to be a git repository" in listed.stderr
    assert remote.daemon.records()[-1]["exit_code"] == 128


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ssh://host/elsewhere/x", 'this agent may not fetch from "host/elsewhere/x"'),
        ("ssh://other{root}/server.git", "this agent may not fetch from"),
        ("ssh://host:2222{root}/server.git", "this agent may not fetch from"),
        ("ssh://host{root}/../x", "has an empty part, . or .."),
        ("ssh://host/~root/x", "begins with ~ or -"),
    ],
)
def test_another_place_is_refused_with_the_line_to_add(remote: Remote, url: str, why: str) -> None:
    """Nothing is started for it."""
    listed = remote.git("ls-remote", url.replace("{root}", str(remote.world.root)))
    assert listed.returncode == 128
    assert why in listed.stderr
    assert remote.daemon.records()[-1]["layer"] == "broker"
    assert remote.notes == []


def test_a_profile_narrows_the_protocols(world: World) -> None:
    """What the profile does not list is refused before the place is looked at."""
    text = GRANT.replace("{root}", str(world.root))
    world.write_profile(f'{text}protocols = ["https"]\n')
    with Daemon(world) as daemon:
        remote = Remote(world, daemon)
        listed = remote.git("ls-remote", "origin")
        assert daemon.records()[-1]["rule"] == "protocol"
    assert "none of the protocols of this agent" in listed.stderr
    assert remote.notes == []


def test_ssh_stands_in_an_empty_directory_with_words_of_the_daemons_own(remote: Remote) -> None:
    """Nothing of the client's becomes an option or a variable, but for git's protocol version."""
    remote.git("ls-remote", "origin", more={"GIT_PROTOCOL": "version=2:x", "EVIL": "1"})
    notes = remote.notes
    assert "-oBatchMode=yes" in notes
    assert "-oForwardAgent=no" in notes
    assert [line for line in notes if "EVIL" in line] == []
    assert notes[-1].rpartition("/")[2].startswith("airlock-empty-")


@pytest.mark.parametrize(
    ("args", "rule"),
    [
        ((), "transport"),
        (("ftp", "origin", "ftp://host/x"), "transport"),
        (("ssh", "host", "id"), "words"),
        (("ssh", "-oProxyCommand=id", "host", "git-upload-pack 'x'"), "words"),
        (("ssh", "host", "git-upload-archive 'x'"), "service"),
        (("ssh", "host", "git-lfs-authenticate x upload"), "lfs"),
        (("ssh", "host", "git-upload-pack '{root}/x'"), "needs-stdin"),
    ],
)
def test_other_requests_are_refused(remote: Remote, args: tuple[str, ...], rule: str) -> None:
    """Words that git does not say, and clients that cannot carry its conversation."""
    answer = remote.daemon.ask(
        "git-remote", *(word.replace("{root}", str(remote.world.root)) for word in args)
    )
    assert answer.error["data"]["kind"] == "denied"
    assert (answer.error["data"]["layer"], answer.error["data"]["rule"]) == ("broker", rule)


def test_a_check_covers_the_destination(remote: Remote) -> None:
    """As a request would, and runs nothing."""
    words = ("ssh", "host", f"git-upload-pack '{remote.world.root}/x'")
    allowed = remote.daemon.ask("git-remote", *words, method="check")
    assert allowed.last["result"]["decision"] == "allowed"
    denied = remote.daemon.ask("git-remote", "ssh", "host", "git-upload-pack 'y'", method="check")
    assert denied.error["data"]["rule"] == "git.fetch"


@pytest.mark.linux_only("elsewhere no descriptor is taken")
def test_bytes_that_are_no_push_end_it(remote: Remote) -> None:
    """The remote gets none of them."""
    reading, writing = os.pipe()
    os.write(writing, b"0009hello")
    os.close(writing)
    client = [sys.executable, str(CLIENT), remote.world.socket, "0", "ssh", "host"]
    done = subprocess.run(
        [*client, f"git-receive-pack '{remote.repository}'"],
        stdin=reading,
        capture_output=True,
        check=False,
    )
    os.close(reading)
    assert done.returncode == 126
    assert b"a line of a list of refs cannot be read" in done.stderr


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("Host key verification failed.", "can connect once and compare it: ssh host\n"),
        (
            "@ REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
            "can then run the ssh-keygen line above on that host, not in this container\n",
        ),
        ("git@host: Permission denied (publickey).", "has to be in the ssh-agent"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_where_ssh_cannot_log_in_a_line_says_what_a_person_does(
    remote: Remote, said: str, advice: str, *, streamed: bool
) -> None:
    """On the host, whose files ssh speaks of. Its own words stand before that."""
    remote.streamed = streamed
    ssh = remote.world.root / "bin" / "ssh"
    real = ssh.read_text().partition("\n{")[0]
    ssh.write_text(f"{real}\ncat >&2 <<'END'\n{said}\nEND\nexit 255\n")
    for words in (["fetch", "origin"], ["push", "origin", "HEAD:refs/heads/agent/x"]):
        failed = remote.git(*words)
        assert failed.returncode == 128
        assert failed.stderr.startswith(f"{said}\nairlock: ")
        assert advice in failed.stderr


def test_what_a_session_says_brings_no_advice(remote: Remote) -> None:
    """Nor does another exit status than ssh's own."""
    ssh = remote.world.root / "bin" / "ssh"
    real = ssh.read_text().partition("\n{")[0]
    ssh.write_text(f"{real}\necho 'Host key verification failed.' >&2\nexit 1\n")
    assert "airlock" not in remote.git("fetch", "origin").stderr
