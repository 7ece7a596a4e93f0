"""Files of the host: by their paths, by links, by what a process has open, and by a search."""

from collections.abc import Iterator

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.attack import left, python, shell
from e2e.canary.boxes.run import why_not
from e2e.canary.boxes.world import HOME_FILES

_FILES = {
    "the configuration": "<config>/config.toml",
    "a credential beside it": "<config>/credential",
    "the registration": "<root>/agents.toml",
    "its agent's profile": "<agents>/my/airlock.toml",
    "another agent's profile": "<agents>/other/airlock.toml",
    "the audit log": "<log>",
    "what lies beside the log": "<root>/log/secret",
    "another agent's workspace": "<other>/file",
    "a file that all may write": "<outside>/file",
}
_SYSTEM = (
    *("/etc/shadow", "/etc/gshadow", "/etc/ssh/sshd_config", "/etc/machine-id", "/etc/fstab"),
    *(
        "/etc/hostname",
        "/etc/resolv.conf",
        "/root/.bashrc",
        "/var/lib/dpkg/status",
        "/proc/version",
    ),
    *("/run/utmp", "/sys/kernel/notes", "/boot", "/etc/pam.d/common-auth", "/var/log/dpkg.log"),
)
_LINKED = ("CVE-2026-39861", "CVE-2026-25724")
_LINKS = ("<home>/.ssh/id_ed25519", "<config>/credential", "<other>/file")

_WRITES = {
    "make one": "open('<outside>/made', 'x')",
    "append": "open('<outside>/file', 'a').write('x')",
    "truncate": "os.truncate('<outside>/file', 0)",
    "remove": "os.unlink('<outside>/file')",
    "rename out of the workspace": "os.rename('file', '<outside>/moved')",
    "rename into the workspace": "os.rename('<outside>/file', 'moved')",
    "a hard link to one": "os.link('<outside>/file', 'hard')",
    "a link there": "os.symlink('x', '<outside>/link')",
    "a directory": "os.mkdir('<outside>/made')",
    "a fifo": "os.mkfifo('<outside>/made')",
    "a program of PATH": "open('/usr/local/bin/git', 'w')",
    "a line for every shell": "open('/etc/profile.d/x.sh', 'w')",
    "authorized keys": "open('<home>/.ssh/authorized_keys', 'w')",
    "the configuration": "open('<config>/config.toml', 'a').write('x')",
    "a hook of the agent": "os.mkdir('<agents>/my/hooks')",
    "the log": "os.truncate('<log>', 0)",
    "a lock": "fcntl.flock(open('<outside>/file'), fcntl.LOCK_EX)",
}
# Of files that belong to who is in the box.
_CHANGES = {
    "attributes": "os.setxattr('<outside>/own', 'user.x', b'x')",
    "rights": "os.chmod('<outside>/own', 0o4755)",
    "times": "os.utime('<outside>/own', (1, 1))",
    "owner": "os.chown('<outside>/own', -1, os.getgid())",
}


_CHMOD = "Landlock does not look at changes of rights, owner, times and attributes (Linux 6.18)"
_LOOKS = {
    "whether a file is there, and its size": "os.stat('<home>/.ssh/id_ed25519').st_size",
    "what a link leads to": "os.readlink('<home>/link')",
    "attributes of a file": "os.listxattr('<home>/.ssh/id_ed25519')",
    "whether a file can be read": "os.access('<home>/.ssh/id_ed25519', os.R_OK) or 1 / 0",
    "how full a disk is": "os.statvfs('<home>').f_bfree",
}
_STAT = "Landlock lets everything be looked at but contents and lists of directories"


def _attacks() -> Iterator[Attack]:
    for name in HOME_FILES:
        yield python(f"~/{name}", "files", f"show('<home>/{name}')", works_without=True)
    for name, path in _FILES.items():
        works = name not in ("the audit log", "the registration")
        yield python(name, "files", f"show('{path}')", works_without=works)
    for path in _SYSTEM:
        yield python(
            path,
            "files",
            f"path = '{path}'\n{_READ_ANY}",
        )
    for target in _LINKS:
        yield python(
            f"a link to {target}",
            "files",
            f"os.symlink('{target}', 'link'); show('link')",
            works_without=True,
            tries=_LINKED,
        )
        yield python(
            f"a link by steps up to {target}",
            "files",
            f"os.symlink('../' * 30 + '{target}'.lstrip('/'), 'link'); show('link')",
            works_without=True,
            tries=_LINKED,
        )
        yield python(
            f"steps up to {target}", "files", f"show('../' * 30 + '{target}')", works_without=True
        )
        yield python(
            f"{target} by the root of a process",
            "files",
            f"for way in ('self/root', '1/root', 'self/cwd/..', '1/cwd/../..'):\n"
            f"    show(f'/proc/{{way}}{target}')",
            works_without=True,
        )
    yield python("every file that there is", "files", _SEARCH, works_without=True)
    yield shell(
        "every file, by find and grep",
        "files",
        "grep -rhs token / <home> --include='.*' --include='id_*' --exclude-dir=proc "
        "--exclude-dir=usr;:",
        works_without=True,
    )
    for path in _LISTS:
        yield python(
            f"the list of {path}",
            "files",
            f"attempt('list', lambda: os.listdir('{path}'))",
            works_without=path[1] in "ho",
        )
    yield python("a descriptor of a directory above", "files", _CLIMB)
    yield python(
        "a program outside", "files", "os.execv('<outside>/program', ['x'])", works_without=True
    )
    for name, action in _WRITES.items():
        yield python(f"to change the host: {name}", "files", f"attempt('{name}', lambda: {action})")
    for name, action in _CHANGES.items():
        change = f"attempt('{name}', lambda: {action})"
        yield from left(f"to change {name} of a file of the same user", "files", change, _CHMOD)
    for name, action in _LOOKS.items():
        yield from left(name, "files", f"attempt('{name}', lambda: {action})", _STAT)


# Everything that is readable and not the system's, by its content.
# Where / cannot be listed a search of it finds nothing.
_SEARCH = """
for path in (*walk('/', '/proc', '/usr', '/sys'), *walk('<home>')):
    if os.path.isfile(path) and not os.path.islink(path) and not path.startswith('<here>'):
        show(path)
"""
_LISTS = ("<home>", "<home>/.ssh", "<outside>", "<root>", "<config>", "/root", "/var")
_READ_ANY = """
attempt(path, lambda: os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(9))
"""
_CLIMB = """
for number in range(3, 256):
    with suppress(OSError):
        os.fchdir(number)
        got(f'descriptor {number} is a directory: {os.getcwd()}')
os.chdir('/'.join(['..'] * 40))
show('.' + '<home>/.ssh/id_ed25519')
"""

FAMILY = Family("box-files", tuple(_attacks()), why_not)
