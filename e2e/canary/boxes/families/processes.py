"""Processes of the host: their memory, environment and files, and what can be done to them."""

from collections.abc import Iterator

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.attack import left, python, shell
from e2e.canary.boxes.run import why_not

_READS = (
    "environ",
    "cmdline",
    "maps",
    "mem",
    "status",
    "fd",
    "root/etc/passwd",
    "cwd",
    "exe",
    "stack",
    "auxv",
    "io",
    "ns/net",
    "limits",
    "mountinfo",
)
_LIST = """
for name in os.listdir('/proc'):
    if name.isdigit():
        show(*(f'/proc/{name}/{each}' for each in ('environ', 'cmdline', 'comm')))
"""
_READ = """
attempt(path, lambda: (
    os.listdir(path) if name == 'fd'
    else os.readlink(path) if name in ('cwd', 'exe', 'ns/net')
    else open(path, 'rb').read(9)
))
"""
_KILLS = {
    "a signal": "os.kill(<victim>, 0)",
    "SIGSTOP": "os.kill(<victim>, signal.SIGSTOP)",
    "SIGTERM": "os.kill(<victim>, signal.SIGTERM)",
    "a signal to its group": "os.killpg(<victim>, signal.SIGCONT)",
    "a signal by a descriptor": "signal.pidfd_send_signal(os.pidfd_open(<victim>), 0)",
    "a signal to the daemon": "os.kill(<daemon>, 0)",
    "to wait for it": "os.waitpid(<victim>, os.WNOHANG)",
}
_CHANGES = {
    "its priority": "os.setpriority(os.PRIO_PROCESS, <victim>, 10)",
    "its limits": "__import__('resource').prlimit(<victim>, 7, (3, 3))",
    "its processors": "os.sched_setaffinity(<victim>, [0])",
    "its scheduling": "os.sched_setscheduler(<victim>, os.SCHED_IDLE, os.sched_param(0))",
    "its memory": "open('/proc/<victim>/mem', 'r+b')",
    "its score": "open('/proc/<victim>/oom_score_adj', 'w').write('1000')",
}
_KNOWN_LOOK = "Landlock lets see who runs on the host, and when: /proc cannot be hidden of it"
_PID1 = """
if not <landlock>:
    for name in ('root', 'cwd', 'exe', *(f'fd/{number}' for number in os.listdir('/proc/1/fd'))):
        attempt(name, lambda: os.readlink(f'/proc/1/{name}'))
    for name in ('environ', 'mem', 'maps', 'auxv', 'stack', 'syscall', 'fd/0', 'fd/3', 'fd/5'):
        attempt(name, lambda: open(f'/proc/1/{name}', 'rb').read(1))
"""
_LAUNCHER = """
if not <landlock>:
    os.kill(1, signal.SIGSTOP)
    if open('/proc/1/stat').read().split()[2] == 'T':
        got('the launcher')
"""


def _attacks() -> Iterator[Attack]:
    yield python("environments and command lines of all", "processes", _LIST, works_without=True)
    yield shell(
        "the same by sh",
        "processes",
        "cat /proc/*/environ /proc/*/cmdline 2>&1 | tr '\\0' '\\n'",
        works_without=True,
    )
    for name in _READS:
        code = f"name, path = '{name}', '/proc/<victim>/{name}'\n{_READ}"
        yield python(
            f"of a process of the same user: {name}",
            "processes",
            code,
            works_without=name in ("cmdline", "status", "limits", "mountinfo"),
        )
    for name, action in _KILLS.items():
        yield python(
            f"to a process of the same user: {name}",
            "processes",
            f"attempt('{name}', lambda: {action})",
            works_without="wait" not in name and "daemon" not in name,
        )
    for name, action in _CHANGES.items():
        yield python(
            f"to change of a process of the same user: {name}",
            "processes",
            f"attempt('{name}', lambda: {action})",
            works_without=False,
        )
    yield from left(
        "to know of a process",
        "processes",
        "attempt('pidfd', lambda: os.pidfd_open(<victim>))",
        _KNOWN_LOOK,
    )
    yield python("of pid 1 of the box", "processes", _PID1)
    yield python("pid 1 of the box stopped", "processes", _LAUNCHER)


FAMILY = Family("box-processes", tuple(_attacks()), why_not)
