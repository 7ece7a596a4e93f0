"""`git-sign` in the place of ssh-keygen, as git calls it."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from fake_daemons import FakeDaemon
from fake_messages import RESULT, error, output, start_message
from fake_tools import PATIENCE_S

SIGN = ("-Y", "sign", "-n", "git", "-f", "/nowhere/key.pub")
SIGNATURE = "-----BEGIN SSH SIGNATURE-----\nx\n-----END SSH SIGNATURE-----\n"


def call(
    daemon: FakeDaemon, words: Sequence[str], *, path: str | None = None
) -> "subprocess.Popen[bytes]":
    """Start it with these words; `path` is its PATH."""
    return subprocess.Popen(
        [daemon.link("git-sign"), *words],
        env={"PATH": path or os.environ["PATH"], "AIRLOCK_SOCKET": str(daemon.path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("words", [SIGN, (*SIGN, "-U")])
def test_the_daemon_signs_and_the_file_is_where_git_looks(
    daemon: FakeDaemon, folder: Path, words: Sequence[str]
) -> None:
    """The daemon gets the bytes, and no word of git's."""
    (folder / "buffer").write_bytes(b"tree 1\xff\n")
    with call(daemon, (*words, str(folder / "buffer"))) as shim:
        conversation = daemon.accept()
        params = json.loads(conversation.read_request(keep_descriptors=True))["params"]
        assert (params["command"], params["args"]) == ("git-sign", ["ssh"])
        conversation.send(start_message("fds"))
        with conversation.run_tool() as tool:
            assert tool.read(100) == b"tree 1\xff\n"
            tool.write(SIGNATURE.encode())
        conversation.send(RESULT)
        conversation.close()
        out, err = shim.communicate(timeout=PATIENCE_S)
    assert (shim.returncode, out, err) == (0, b"", b"")
    assert (folder / "buffer.sig").read_text() == SIGNATURE


def test_what_is_refused_leaves_no_signature(daemon: FakeDaemon, folder: Path) -> None:
    """Not even an empty one; git shows what stands on stderr."""
    (folder / "buffer").touch()
    with call(daemon, (*SIGN, str(folder / "buffer"))) as shim:
        conversation = daemon.accept()
        conversation.read_request()
        conversation.send(error(-32600, "nothing is signed", kind="denied", hint="a hint"))
        conversation.close()
        _, err = shim.communicate(timeout=PATIENCE_S)
    assert shim.returncode == 126
    assert err == b"airlock: nothing is signed\nairlock: hint: a hint\n"
    assert not (folder / "buffer.sig").exists()


def test_without_words_it_says_which_key_signs(daemon: FakeDaemon) -> None:
    """As gpg.ssh.defaultKeyCommand does."""
    with call(daemon, ()) as shim:
        conversation = daemon.accept()
        params = json.loads(conversation.read_request())["params"]
        conversation.send(output("key::ssh-ed25519 AAAA\n") + RESULT)
        conversation.close()
        out, _ = shim.communicate(timeout=PATIENCE_S)
    assert params["args"] == ["ssh-key"]
    assert (shim.returncode, out) == (0, b"key::ssh-ed25519 AAAA\n")


def test_other_words_are_the_daemon_s(daemon: FakeDaemon) -> None:
    """As of every command."""
    with call(daemon, ("ssh", "x")) as shim:
        conversation = daemon.accept()
        params = json.loads(conversation.read_request())["params"]
        conversation.send(RESULT)
        conversation.close()
        shim.communicate(timeout=PATIENCE_S)
    assert params["args"] == ["ssh", "x"]


@pytest.mark.parametrize("word", ["verify", "find-principals", "check-novalidate"])
def test_the_image_s_own_ssh_keygen_verifies(daemon: FakeDaemon, folder: Path, word: str) -> None:
    """It gets the words, and the daemon is not asked."""
    programs = folder / "programs"
    programs.mkdir()
    (programs / "ssh-keygen").write_text('#!/bin/sh\necho "$@"\nexit 3\n')
    (programs / "ssh-keygen").chmod(0o755)
    with call(daemon, ("-Y", word, "-n", "git"), path=f"relative:{programs}") as shim:
        out, _ = shim.communicate(timeout=PATIENCE_S)
    assert (shim.returncode, out) == (3, f"-Y {word} -n git\n".encode())


def test_an_image_without_ssh_keygen_is_told(daemon: FakeDaemon, folder: Path) -> None:
    """It can be installed there, or the host verifies."""
    with call(daemon, ("-Y", "verify"), path=str(folder)) as shim:
        _, err = shim.communicate(timeout=PATIENCE_S)
    assert shim.returncode == 127
    assert b"airlock: there is no ssh-keygen on PATH to verify a signature with\n" in err


@pytest.mark.parametrize("words", [("-n", "file", "x"), ("-O", "x"), ("x", "y"), ("-n",)])
def test_words_of_no_git_are_refused(daemon: FakeDaemon, words: Sequence[str]) -> None:
    """No other namespace is asked for."""
    with call(daemon, ("-Y", "sign", *words)) as shim:
        _, err = shim.communicate(timeout=PATIENCE_S)
    assert shim.returncode == 2
    assert b"airlock: git signs by words that this shim does not know\n" in err
