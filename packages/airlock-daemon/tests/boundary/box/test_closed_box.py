"""What hostile code can have in a closed box, by the daemon as it is."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from boxing import box_uid, boxed_world, needs_bubblewrap
from running import Daemon

pytestmark = needs_bubblewrap

PROBER = Path(__file__).with_name("prober.py").read_text()
SECRET = "canary-8c1d5e"

Probed = dict[str, Any]


@pytest.fixture(scope="module")
def probed() -> Probed:
    """What the prober found, run by the agent with Python on the host."""
    with boxed_world() as world:
        (world.config / "credential").write_text(SECRET)
        before = os.getcwd()
        os.chdir(world.workspace)
        try:
            environment = {"SECRET_OF_THE_DAEMON": SECRET, "https_proxy": f"http://u:{SECRET}@p:1"}
            environment |= {"SSH_AUTH_SOCK": f"/{SECRET}", "AWS_PROFILE": SECRET}
            with Daemon(world, environment=environment) as daemon:
                answer = daemon.ask("git", "-c", PROBER, cwd=str(world.workspace))
        finally:
            os.chdir(before)
    assert answer.exit_code == 0, answer.text("stderr")
    assert SECRET not in answer.text()
    found: Probed = json.loads(answer.text())
    return found | {"workspace": str(world.workspace)}


def test_no_file_of_the_host_is_there_but_the_listed(probed: Probed) -> None:
    """Libraries, programs, names and certificates; of the rest not even the names."""
    known = {"bin", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "tmp"}
    assert set(probed["top"]) <= known | {"usr"}
    made = {"passwd", "group", "nsswitch.conf", "hosts"}
    public = {"ld.so.cache", "alternatives", "localtime", "services", "protocols", "mime.types"}
    public |= {"ssl", "ca-certificates", "crypto-policies", "pki", "terminfo", "locale.alias"}
    names = {path.split("/")[2] for path in probed["etc"]}
    assert made <= names <= made | public | {"host.conf", "gai.conf"}
    assert "/etc/ssl/private" not in probed["etc"]
    assert probed["home"] == ["/home/airlock"]
    # The workspace of this test lies below /tmp, as a directory of the container could.
    assert [path for path in probed["tmp"] if not probed["here"].startswith(path)] == []
    assert probed["here"] == probed["workspace"]


def test_the_way_up_from_the_directory_ends_in_the_box(probed: Probed) -> None:
    """A descriptor of a directory of the host would lead out of it by `..`."""
    assert probed["climbed"] == "/"


def test_no_other_process_and_nothing_of_the_launcher_is_there(probed: Probed) -> None:
    """There are pid 1 and the tool; pid 1 cannot be read, and /proc has no more than processes."""
    assert len(probed["processes"]) == 2
    assert probed["proc"] == ["self", "thread-self"]
    assert set(probed["of pid 1"].values()) == {"Permission denied"}


def test_there_is_no_descriptor_but_the_three(probed: Probed) -> None:
    """Neither the daemon's, nor bubblewrap's, nor the launcher's."""
    assert probed["descriptors"] == [0, 1, 2]


def test_the_environment_has_nothing_of_the_human(probed: Probed) -> None:
    """Names of its own, and of the daemon what says how to read and write text."""
    variables = probed["environment"]
    own = {"HOME": "/home/airlock", "USER": "airlock", "LOGNAME": "airlock", "SHELL": "/bin/sh"}
    assert variables.items() >= (own | {"TMPDIR": "/tmp"}).items()
    rest = set(variables) - set(own) - {"TMPDIR", "PATH", "LANG", "TZ"}
    assert {name for name in rest if not name.startswith(("LC_", "SSL_CERT_"))} == set()


def test_there_is_no_socket_no_device_and_no_way_to_one(probed: Probed) -> None:
    """Every family and type is refused, and of devices there are those that are none."""
    assert set(probed["sockets"]) <= {
        "Address family not supported by protocol",
        "Protocol not supported",
    }
    harmless = {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")}
    assert harmless <= set(probed["devices"]) <= harmless | {"/dev/pts/ptmx", "/dev/console"}
    assert probed["mknod"] == "Operation not permitted"
    assert probed["interfaces"] == 0


def test_there_is_no_capability_no_namespace_and_no_other_user(probed: Probed) -> None:
    """Nor is there a way to one, and the filter is on."""
    assert set(probed["capabilities"].values()) == {0}
    assert set(probed["unshare"].values()) == {"Operation not permitted"}
    assert probed["chroot"] == "Operation not permitted"
    # There is no root in its user namespace.
    assert probed["setuid"] == "Invalid argument"
    assert probed["seccomp"] == "2"
    uid, _, groups = probed["user"]
    assert uid == box_uid()
    assert len(groups) <= 1
    assert probed["hostname"] == "airlock"


def test_nothing_can_be_written_but_what_is_the_tools_own(probed: Probed) -> None:
    """The system and the directories above the workspace stay as they are."""
    allowed = {"Read-only file system", "Permission denied", "No such file or directory"}
    assert set(probed["written"].values()) <= allowed
