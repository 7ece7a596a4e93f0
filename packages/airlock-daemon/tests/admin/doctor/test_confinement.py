"""What `doctor` says of a container around the daemon, and the profiles that it prints."""

import json
import re
from pathlib import Path

import pytest

from airlock_daemon.admin.doctor.boxes import name_box, write_apparmor, write_seccomp
from boxing import boxed_world, needs_bubblewrap, needs_landlock, write_boxes
from examining import around, find, write_program
from worlds import World

NATIVE = Path(__file__).parents[3] / "native"
CALLS = NATIVE / "seccomp" / "calls.zig"
MAKING = {
    *("unshare", "mount", "umount2", "pivot_root", "move_mount", "mount_setattr", "sethostname")
}
"""What makes a box, and a box itself may not do."""
FORBIDDEN = {
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "setns", "chroot"),
    *("keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "open_by_handle_at"),
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot"),
    *("swapon", "swapoff", "acct", "syslog", "settimeofday", "clock_settime", "iopl", "ioperm"),
}
SAYS = "echo 'bwrap: No permissions to create a new namespace' >&2; exit 1"


def test_the_seccomp_profile_has_all_that_a_box_may_do() -> None:
    """By the launcher's own table, so that no box in a container lacks what it has elsewhere."""
    rules = json.loads(write_seccomp())["syscalls"]
    allowed = {name for rule in rules for name in rule["names"]}
    text = re.sub(r"//.*", "", CALLS.read_text())
    strings = re.findall(r'\\\\(.*)|= "([a-z0-9_ ]+)";', text)
    named = {name for parts in strings for part in parts for name in part.split()}
    # The kernel's name of what Zig calls otherwise.
    named = {"newfstatat" if name == "fstatat64" else name for name in named}
    assert len(named) > 250
    assert named - allowed == set()
    assert allowed >= MAKING
    assert allowed & FORBIDDEN == set()


def test_the_seccomp_profile_has_all_by_which_a_box_is_finished() -> None:
    """The calls of the launcher's sources that are not in the table of a box."""
    rules = json.loads(write_seccomp())["syscalls"]
    allowed = {name for rule in rules for name in rule["names"]}
    for name in ("box.zig", "mounts.zig", "parts.zig", "unlinked.zig", "landlock.zig"):
        text = (NATIVE / name).read_text()
        made = {*re.findall(r"syscall\d\(\s*\.(\w+)", text)}
        made |= MAKING & {*re.findall(r"linux\.(\w+)\(", text)}
        assert made - allowed == set(), name


def test_the_seccomp_profile_allows_no_other_sockets_and_personalities() -> None:
    """Those of unix, IPv4, IPv6 and netlink, by which the loopback of a box is switched on."""
    rules = json.loads(write_seccomp())["syscalls"]
    values: dict[str, set[int]] = {"socket": set(), "personality": set()}
    for rule in rules:
        for name in values.keys() & set(rule["names"]):
            (condition,) = rule["args"]
            assert (condition["index"], condition["op"]) == (0, "SCMP_CMP_EQ")
            values[name].add(condition["value"])
    assert values["socket"] == {1, 2, 10, 16}
    assert values["personality"] == {0, 8, 0x20000, 0x20008, 0xFFFFFFFF}


def test_the_profile_of_apparmor_is_of_the_installed_launcher() -> None:
    """And of nothing else: no other program of the host gets what it allows."""
    (attached,) = re.findall(
        r'^profile airlock-launch "(.*)" flags=', write_apparmor(), re.MULTILINE
    )
    assert Path(attached).name == "airlock-launch"
    assert Path(attached).is_file()


@needs_bubblewrap
@needs_landlock
@pytest.mark.parametrize(
    ("mark", "variables", "engine", "line"),
    [
        ("/.dockerenv", {}, "Docker", "--security-opt systempaths=unconfined"),
        ("/run/.containerenv", {}, "Podman", "--security-opt unmask=ALL"),
        ("/.dockerenv", {"KUBERNETES_SERVICE_HOST": "::1"}, "Kubernetes", "procMount: Unmasked"),
    ],
)
def test_in_a_container_its_engines_lines_are_told(
    tmp_path: Path, mark: str, variables: dict[str, str], engine: str, line: str
) -> None:
    """Where bubblewrap makes no box; AppArmor's label adds one line more."""
    with boxed_world() as world:
        root = tmp_path / "root"
        root.joinpath(mark.lstrip("/")).parent.mkdir(parents=True)
        root.joinpath(mark.lstrip("/")).touch()
        label = root / "proc/self/attr/current"
        label.parent.mkdir(parents=True)
        label.write_text("unconfined\n")
        _put(world, "bwrap", SAYS)
        (found,) = find("container", around(world, root, **variables))
        assert (found.source, found.is_note) == (engine, True)
        assert line in found.remedy
        assert "apparmor" not in found.remedy.lower()
        label.write_text("docker-default (enforce)\n")
        (found,) = find("container", around(world, root, **variables))
        assert "apparmor" in found.remedy.lower()
        assert name_box(around(world, root)) == "landlock"
        (world.root / "tools" / "bwrap").unlink()
        (world.root / "tools" / "bwrap").symlink_to("/usr/bin/bwrap")
        assert find("container", around(world, root, **variables)) == []
        assert name_box(around(world, root)) == "bubblewrap"


def test_outside_of_containers_nothing_is_told_of_one(tmp_path: Path) -> None:
    """Whatever bubblewrap says."""
    with boxed_world() as world:
        _put(world, "bwrap", SAYS)
        assert find("container", around(world, tmp_path)) == []


def _put(world: World, name: str, text: str) -> None:
    tools = world.root / "tools"
    write_boxes(world, more=f'[daemon]\npath = "{tools}"\n')
    write_program(tools, name, text)
