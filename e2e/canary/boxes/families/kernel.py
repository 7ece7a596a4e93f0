"""The kernel's own interface: calls that no tool needs, and ways to more rights."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.attack import python
from e2e.canary.boxes.run import why_not
from e2e.canary.boxes.scene import BoxScene

# Numbers of x86-64 and of aarch64, -1 for none; arguments. Where the kernel itself answers as the
# filter does, "-" stands before the name.
CALLS = """unshare 272 97 0x10000000; -unshare-mounts 272 97 0x20000; setns 308 268 0 0;
-mount 165 40 0 0 0 0x1000 0; -umount2 166 39 0 0; -pivot_root 155 41 0 0; -chroot 161 51 0;
-open_tree 428 428 -100 0 1; -move_mount 429 429 0 0 0 0 0; -fsopen 430 430 0 0;
-fsconfig 431 431 0 0 0 0 0; -fsmount 432 432 0 0 0; -fspick 433 433 -100 0 0;
-mount_setattr 442 442 -100 0 0 0 0; ptrace 101 117 16 <victim> 0 0;
process_vm_readv 310 270 <victim> 0 0 0 0 0; process_vm_writev 311 271 <victim> 0 0 0 0 0;
-process_madvise 440 440 0 0 0 0 0; pidfd_getfd 438 438 0 0 0; kcmp 312 272 0 0 9 0 0;
keyctl 250 219 0 -3 0; keyctl-join 250 219 1 0; add_key 248 217 0 0 0 0 -3;
request_key 249 218 0 0 0 0; io_uring_setup 425 425 1 0; io_uring_enter 426 426 -1 0 0 0 0 0;
-io_uring_register 427 427 -1 0 0 0; bpf 321 280 0 0 0; bpf-token 321 280 36 0 0;
perf_event_open 298 241 0 0 -1 -1 0; userfaultfd 323 282 1; -init_module 175 105 0 0 0;
-finit_module 313 273 0 0 0; -delete_module 176 106 0 0; -kexec_load 246 104 0 0 0 0;
-kexec_file_load 320 294 0 0 0 0 0; -reboot 169 142 0 0 0 0; -swapon 167 224 0 0;
-swapoff 168 225 0; -sethostname 170 161 0 0; -setdomainname 171 162 0 0;
-settimeofday 164 170 0 0; -clock_settime 227 112 0 0; -clock_adjtime 305 266 0 0;
adjtimex 159 171 0; -acct 163 89 0; quotactl 179 60 0 0 0 0; quotactl_fd 443 443 -1 0 0 0;
-syslog 103 116 3 0 0; -open_by_handle_at 304 265 -100 0 0;
name_to_handle_at 303 264 -100 0 0 0 0; -fanotify_init 300 262 0 0;
fanotify_mark 301 263 0 0 0 0 0; -lookup_dcookie 212 18 0 0 0; -iopl 172 -1 3;
-ioperm 173 -1 0 1 1; modify_ldt 154 -1 0 0 0; -vhangup 153 58; move_pages 279 239 0 0 0 0 0 0;
migrate_pages 256 238 0 0 0 0; mbind 237 235 0 0 0 0 0 0; set_mempolicy 238 237 0 0 0;
get_mempolicy 239 236 0 0 0 0 0; set_mempolicy_home_node 450 450 0 0 0 0;
personality 135 92 0x0040000; personality-read-implies-exec 135 92 0x0400000;
-prctl-core 157 167 62 0 0 0 0; prlimit64 302 261 <victim> 7 0 0;
setpriority 141 140 0 <victim> 5; setpriority-user 141 140 2 0 5;
sched_setaffinity 203 122 <victim> 0 0; sched_setscheduler 144 119 <victim> 0 0;
-sched_setparam 142 118 <victim> 0; sched_setattr 314 274 <victim> 0 0;
ioprio_set 251 30 1 <victim> 0x6000; shmget 29 194 0 4096 0o1600; shmat 30 196 <shm> 0 0o10000;
shmctl 31 195 <shm> 2 0; msgget 68 186 0 0o1600; semget 64 190 0 1 0o1600;
semtimedop 220 192 0 0 0 0; mq_open 240 180 0 0 0 0; io_setup 206 0 1 0; io_destroy 207 1 0;
memfd_secret 447 447 0; statmount 457 457 0 0 0 0; listmount 458 458 0 0 0 0;
-lsm_get_self_attr 459 459 0 0 0 0; lsm_list_modules 461 461 0 0 0; -uselib 134 -1 0;
ustat 136 -1 0 0; sysfs 139 -1 3; -create_module 174 -1 0 0; -vserver 236 -1;
-nfsservctl 180 42 0 0 0; remap-numa 279 239 0 0 0 0 0 0; process_mrelease 448 448 0 0;
-futimes-x32 0x40000000 -1 0 0 0; -clone3 435 435 0 0; -open_tree_attr 467 467 -100 0 0 0 0;
file_setattr 469 469 -100 0 0 0 0
"""
# As socket(2) has them: family, type, protocol.
_SOCKETS = (
    *("1 1 0", "1 2 0", "1 5 0", "2 1 0", "2 2 0", "2 3 1", "2 2 1", "10 1 0", "10 2 0", "10 3 58"),
    *(
        "16 3 0",
        "16 3 4",
        "16 3 9",
        "16 3 15",
        "17 3 0",
        "17 2 0",
        "38 5 0",
        "40 1 0",
        "15 3 2",
        "21 5 0",
    ),
    *("30 1 0", "31 3 1", "42 2 0", "43 1 0", "44 3 0", "2 1 262", "2 2 136", "2 1 132", "29 3 1"),
)
# With TCP: what is none of it, and what connects on the way.
_BESIDE_TCP = (
    "2 1 262",
    "2 1 132",
    "2 2 0",
    "2 2 136",
    "2 3 1",
    "1 1 0",
    "16 3 0",
    "2 2 1",
    "38 5 0",
    "43 1 0",
)

_CLONE = """
for name, flag in dict(
    mount=0x20000, cgroup=0x2000000, uts=0x4000000, ipc=0x8000000,
    user=0x10000000, pid=0x20000000, net=0x40000000,
).items():
    for high in (0, 1 << 40):
        result = call((56, 220), ctypes.c_ulong(flag | 17 | high), 0, 0, 0, 0)
        if result == 0:
            os._exit(0)
        denied(f'clone of a {name} namespace, high bits {high:x}', result)
"""
_COMPAT = """
if INTEL:
    # mov $20, %eax; int $0x80; ret: getpid of 32 bits.
    code = mmap.mmap(-1, 4096, prot=7)
    code.write(b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3')
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    child = os.fork()
    if child == 0:
        result = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
        got(f'a call of 32 bits: {result}')
        os._exit(0)
    print(os.waitpid(child, 0))
"""
_X32 = """
if INTEL:
    for number in (39, 257, 272, 101, 520, 540, 547):
        child = os.fork()
        if child == 0:
            denied(f'x32 {number}', call(0x40000000 | number, 0, 0, 0, 0))
            os._exit(0)
        os.waitpid(child, 0)
"""
_HIGH = """
for name, number, words in (
    ('socket', (41, 198), (1 << 32 | 1, 1, 0)), ('socket', (41, 198), (2, 1 << 32 | 1, 0)),
    ('socketpair', (53, 199), (1, 1 << 32 | 2, 0, 0)),
    ('personality', (135, 92), (1 << 32 | 0x40000,)),
    ('prctl', (157, 167), (1 << 32 | 62, 0, 0, 0, 0)),
    ('setpriority', (141, 140), (1 << 32, <victim>, 5)),
):
    result = call(number, *(ctypes.c_ulong(word) for word in words))
    denied(f'{name} with high bits', result, 'EAFNOSUPPORT', 'EINVAL')
"""
_SETUID = """
for path in walk('/usr'):
    with suppress(OSError):
        if os.lstat(path).st_mode & 0o6000 and os.path.isfile(path):
            print(path, os.lstat(path).st_uid)
for words in ('/usr/bin/su -c id', '/usr/bin/sudo -n id', '/usr/bin/pkexec id'):
    with suppress(OSError):
        done = subprocess.run(words.split(), stdin=-3, capture_output=True, text=True)
        if done.stdout.startswith(('0', 'uid=0')):
            got(words)
"""
_CAPABILITIES = """
lines = dict(line.split(':', 1) for line in open('/proc/self/status'))
for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
    if int(lines[name], 16) and not (name == 'CapBnd' and <landlock>):
        got(f'{name} {lines[name]}')
if lines['NoNewPrivs'].strip() != '1' or lines['Seccomp'].strip() != '2':
    got('new privileges, or no filter')
"""
_BECOME = """
attempt('root', lambda: os.setuid(0))
attempt('the group of root', lambda: os.setgid(0))
attempt('another user', lambda: os.setresuid(1, 1, 1))
attempt('groups', lambda: os.setgroups([0]))
attempt('a map', lambda: os.write(os.open('/proc/self/uid_map', os.O_WRONLY), b'0 0 1'))
attempt('a namespace of pid 1', lambda: os.open('/proc/1/ns/mnt', os.O_RDONLY))
"""
_SETTINGS = """
for path in (
    'kernel/core_pattern', 'kernel/hostname', 'vm/overcommit_memory',
    'user/max_user_namespaces', 'fs/binfmt_misc/register',
):
    attempt(path, lambda: os.write(os.open(f'/proc/sys/{path}', os.O_RDWR), b'x'))
for path in ('/proc/sysrq-trigger', '/proc/self/oom_score_adj', '/proc/self/attr/current'):
    with suppress(OSError):
        with open(path, 'w') as file:
            file.write('-1000')
        got(path)
"""
_DEVICES = """
attempt('a device', lambda: os.mknod('null', stat.S_IFCHR | 0o666, os.makedev(1, 3)))
attempt('a disk', lambda: os.mknod('disk', stat.S_IFBLK | 0o666, os.makedev(8, 0)))
for path in walk('/dev'):
    with suppress(OSError):
        mode = os.stat(path).st_mode
        if (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)) and os.path.basename(path) not in HARMLESS:
            with open(path, 'rb'):
                got(path)
"""
_HARMLESS = """
HARMLESS = (
    'null', 'zero', 'full', 'random', 'urandom', 'tty', 'console', 'ptmx',
    'stdin', 'stdout', 'stderr',
)
"""
# A device that anybody may open as such, memory, and this host's first disk.
_CONTAINER_DEVICES = ((stat.S_IFCHR, 1, 5), (stat.S_IFCHR, 1, 1), (stat.S_IFBLK, 254, 0))
_FOREIGN_DEVICE = (
    "attempt('a device of the container', lambda: open('made-by-root', 'rb', buffering=0).read(4))"
)
_FOREIGN_SETUID = """
done = subprocess.run(['./made-by-root', '-u'], capture_output=True, text=True)
if done.stdout.startswith('0'):
    got('root')
print(done)
"""


def _make_device(kind: int, major: int, minor: int) -> Callable[[BoxScene], None]:
    """Root of a container may make devices, which it cannot open itself (docker's defaults)."""

    def make(scene: BoxScene) -> None:
        path = scene.world.workspace / "made-by-root"
        os.mknod(path, kind, os.makedev(major, minor))
        path.chmod(0o666)

    return make


def _make_setuid(scene: BoxScene) -> None:
    path = scene.world.workspace / "made-by-root"
    shutil.copy("/usr/bin/id", path)
    path.chmod(0o6755)


def _attacks() -> Iterator[Attack]:
    for entry in CALLS.split(";"):
        name, *numbers = entry.split()
        arguments = ", ".join(f"int('{word}', 0)" for word in numbers[2:])
        code = f"denied('{name}', call(({numbers[0]}, {numbers[1]}), {arguments}), *ALSO)"
        also = "ALSO = ('EINVAL',)" if name in ("-clone3", "-prctl-core") else "ALSO = ()"
        if numbers[1] == "-1":
            code = f"INTEL and {code}"
        # Landlock itself lets nobody trace who is not behind it.
        for only in ("bubblewrap", "landlock") if name == "ptrace" else ("",):
            works = name[0] != "-" and only != "landlock"
            what = f"the call {name.lstrip('-')}"
            yield python(what, "filter", f"{also}\n{code}", works_without=works, only=only)
    for words in _SOCKETS:
        code = f"denied('socket', call((41, 198), {words.replace(' ', ', ')}), 'EAFNOSUPPORT')"
        yield python(
            f"a socket {words}",
            "filter",
            code,
            works_without=words[:2] in ("1 ", "2 ") and " 3 " not in words,
        )
    for words in _BESIDE_TCP:
        code = f"denied('socket', call((41, 198), {words.replace(' ', ', ')}), 'EAFNOSUPPORT')"
        yield python(
            f"a socket {words} where there is TCP",
            "filter",
            code,
            command="inet",
            only="bubblewrap",
        )
    yield python(
        "a pair of datagram sockets",
        "filter",
        "denied('pair', call((53, 199), 1, 2, 0, mmap.mmap(-1, 4096) and 0), 'EAFNOSUPPORT')",
    )
    for name, code, works in (
        ("clone with namespaces", _CLONE, False),
        ("calls of 32 bits", _COMPAT, True),
        ("calls of x32", _X32, False),
        ("arguments with high bits", _HIGH, True),
    ):
        yield python(name, "filter", code, works_without=works)
    for name, code in (
        ("setuid programs of the host", _SETUID),
        ("capabilities", _CAPABILITIES),
        ("to become somebody", _BECOME),
        ("settings of the kernel", _SETTINGS),
        ("devices", f"{_HARMLESS}\n{_DEVICES}"),
    ):
        yield python(name, "privileges", code, works_without=name == "capabilities")
    for kind, major, minor in _CONTAINER_DEVICES:
        name = f"a device of the container: {kind:o} {major}:{minor}"
        make = _make_device(kind, major, minor)
        for maker, way, works in (
            ("bubblewrap", "messages", False),
            ("landlock", "container", True),
        ):
            yield python(
                name,
                "devices" if works else "privileges",
                _FOREIGN_DEVICE,
                before=make,
                only=maker,
                way=way,
                works_without=works and minor == 5,
            )
    yield python(
        "a setuid program of the container", "privileges", _FOREIGN_SETUID, before=_make_setuid
    )


FAMILY = Family("box-kernel", tuple(_attacks()), why_not)
