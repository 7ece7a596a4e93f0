"""What the daemon has in its environment, its arguments and its descriptors."""

from collections.abc import Iterator

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.attack import python, shell
from e2e.canary.boxes.run import why_not

_NAMES = (
    *("GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "https_proxy", "HTTPS_PROXY", "SSH_AUTH_SOCK"),
    *("GIT_SSH_COMMAND", "DOCKER_CONFIG", "KUBECONFIG", "DBUS_SESSION_BUS_ADDRESS"),
)
_DESCRIPTORS = """
for name in os.listdir('/proc/self/fd'):
    if int(name) > 2 and os.path.exists(f'/proc/self/fd/{name}'):
        got(f"descriptor {name} {os.readlink(f'/proc/self/fd/{name}')}")
"""
_PROBE = """
for number in range(3, 1024):
    with suppress(OSError):
        fcntl.fcntl(number, fcntl.F_GETFD)
        got(f'descriptor {number}')
"""
_PASSED = """
for number in (0, 1, 2):
    with suppress(OSError):
        os.fchdir(number)
        got('a directory')
    for name in ('', '/../..', '/<home>/.ssh/id_ed25519'):
        with suppress(OSError):
            show(f'/proc/self/fd/{number}{name}') if name else None
"""
_MEMORY = """
with open('/proc/self/maps') as maps, open('/proc/self/mem', 'rb') as memory:
    for line in maps:
        if line.split()[-1] == '[stack]':
            first, last = (int(each, 16) for each in line.split()[0].split('-'))
            memory.seek(first)
            sys.stdout.buffer.write(memory.read(last - first))
"""


def _attacks() -> Iterator[Attack]:
    yield shell("env", "environment", "env; export -p; set", works_without=True)
    yield python("os.environ", "environment", "print(dict(os.environ))", works_without=True)
    yield python(
        "names of what tools use",
        "environment",
        f"for name in {_NAMES}:\n    if name in os.environ: got(name)",
        works_without=True,
        tries=("GHSA-27vp-2mmc-vmh3",),
    )
    yield shell(
        "what pid 1 was started with",
        "environment",
        "cat /proc/1/environ /proc/1/cmdline /proc/*/environ | tr '\\0' '\\n'",
        works_without=True,
    )
    yield python("its own memory", "environment", _MEMORY, works_without=True)
    yield shell(
        "paths among the arguments of the box",
        "environment",
        "grep -aF <workspace> /proc/1/cmdline && echo 'GO''T: a path of the host'; true",
        only="bubblewrap",
    )
    yield python("descriptors by their list", "descriptors", _DESCRIPTORS, works_without=True)
    yield python("descriptors by their numbers", "descriptors", _PROBE, works_without=True)
    for way in ("messages", "pipes"):
        yield python(
            f"by the descriptors of a client: {way}",
            "descriptors",
            _PASSED,
            way=way,
            features=["fds"] if way == "pipes" else ["stdin"],
        )
    for name in (
        "HOME",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "PYTHONPATH",
        "PATH",
        "BASH_ENV",
        "GIT_DIR",
    ):
        yield shell(
            f"a client that sets {name}",
            "environment",
            "env",
            features=["env"],
            env={name: "<home>"},
            tries=("OpenSandbox#1194",),
        )


FAMILY = Family("box-environment", tuple(_attacks()), why_not)
