"""What the shim sends."""

import json
import os
from pathlib import Path

import pytest

from fake_daemons import FakeDaemon, wait


def test_gits_ssh_is_the_conversation_with_a_remote(daemon: FakeDaemon) -> None:
    """By the name that git's configuration has, the shim asks for git-remote over ssh."""
    words = ("-o", "SendEnv=GIT_PROTOCOL", "git@host", "git-upload-pack '/a'")
    params = daemon.request(*words, command="git-ssh")["params"]
    assert (params["command"], params["args"]) == ("git-remote", ["ssh", *words])


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_gits_helpers_are_the_conversation_with_a_remote(daemon: FakeDaemon, scheme: str) -> None:
    """By the names of git's exec path: the name and the URL of a remote follow."""
    url = f"{scheme}://example.com/a.git"
    params = daemon.request("origin", url, command=f"git-remote-{scheme}")["params"]
    assert (params["command"], params["args"]) == ("git-remote", [scheme, "origin", url])


def test_working_directory_is_the_real_one(daemon: FakeDaemon) -> None:
    """Links in the path are resolved by the kernel, and $PWD is not believed."""
    (daemon.folder / "real").mkdir()
    (daemon.folder / "link").symlink_to("real")
    environment = {"AIRLOCK_SOCKET": str(daemon.path), "PWD": "/etc"}
    request = daemon.request(cwd=daemon.folder / "link", environment=environment)
    assert request["params"]["cwd"] == os.path.realpath(daemon.folder / "real")


def test_working_directory_that_is_not_utf8_goes_as_base64(daemon: FakeDaemon) -> None:
    """A directory's name may be any bytes."""
    directory = os.fsencode(daemon.folder) + b"/\xff"
    os.mkdir(directory)
    assert list(daemon.request(cwd=directory)["params"]["cwd"]) == ["base64"]


def test_working_directory_that_was_removed_is_null(daemon: FakeDaemon) -> None:
    """Without a path none is invented."""
    gone = daemon.folder / "gone"
    gone.mkdir()
    wrapper = ["sh", "-c", f'rmdir "{gone}" && exec "$@"', "sh"]
    assert daemon.request(cwd=gone, wrapper=wrapper)["params"]["cwd"] is None


def test_name_that_no_command_has_is_not_sent(daemon: FakeDaemon) -> None:
    """A link with a strange name is an unknown command, without asking."""
    ended = wait(daemon.start(command="a b"))
    assert ended.status == 127
    assert ended.stderr == (
        "airlock: unknown command: a b\nairlock: hint: no command can have this name; "
        "call the shim through a link that has the tool's name\n"
    )


def test_id_of_the_container_is_that_of_its_mounts(daemon: FakeDaemon, unshare: list[str]) -> None:
    """The engine's own copy of /etc/hostname names the container."""
    container = "0123456789abcdef" * 4
    own = Path(daemon.folder, "containers", container, "hostname")
    own.parent.mkdir(parents=True)
    own.write_text("box\n")
    # These tests may run in a container themselves.
    script = (
        "umount /etc/hostname /etc/hosts /etc/resolv.conf 2>/dev/null; "
        'mount --bind "$0" /etc/hostname && exec "$@"'
    )
    request = daemon.request(wrapper=[*unshare, "--cgroup", "sh", "-c", script, str(own)])
    assert json.dumps(request["params"]["container_id"]) == f'"{container}"'
