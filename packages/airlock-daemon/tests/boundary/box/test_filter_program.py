"""The filter of a box as a program, for both processors: carried out here, call by call."""

import errno
import sys

import pytest

from confining import (
    ALLOW,
    ERRNO,
    KILL,
    MACHINES,
    NUMBERS,
    PROCESSORS,
    SOCKETS,
    X32,
    Call,
    load_program,
    load_unboxed,
    make_calls,
    read_numbers,
    vary,
)
from launching import can_build

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the launcher is for Linux"),
    pytest.mark.skipif(not can_build(), reason="needs ziglang"),
    pytest.mark.usefixtures("confined"),
]

# What an attack needs, by what it would do: SPEC 6 R3, and what else reaches out of a box or deep
# into the kernel.
FORBIDDEN = frozenset(
    """
    unshare setns pivot_root chroot mount umount2 open_tree move_mount fsopen fsconfig
    fsmount fspick mount_setattr sethostname setdomainname
    ptrace process_vm_readv process_vm_writev process_madvise process_mrelease pidfd_getfd kcmp
    move_pages migrate_pages mbind set_mempolicy get_mempolicy set_mempolicy_home_node
    keyctl add_key request_key
    io_uring_setup io_uring_enter io_uring_register bpf perf_event_open userfaultfd vmsplice
    open_by_handle_at name_to_handle_at fanotify_init fanotify_mark quotactl quotactl_fd
    init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff acct
    syslog vhangup settimeofday clock_settime clock_adjtime adjtimex
    iopl ioperm modify_ldt uselib memfd_secret lookup_dcookie nfsservctl
    """.split()  # noqa: SIM905 - a table
)

# Answered as by a kernel that has no such call.
ABSENT = frozenset(
    """
    clone3 shmget shmat shmctl shmdt semget semop semtimedop semctl msgget msgsnd msgrcv msgctl
    mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr
    io_setup io_submit io_cancel io_destroy io_getevents io_pgetevents
    statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules
    """.split()  # noqa: SIM905 - a table
)

AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6 = 0, 1, 2, 10
AF_NETLINK, AF_PACKET, AF_ALG, AF_VSOCK, AF_SMC, AF_XDP = 16, 17, 38, 40, 43, 44
STREAM, DGRAM, RAW, SEQPACKET = 1, 2, 3, 5
FLAGS = 0o2004000  # SOCK_CLOEXEC | SOCK_NONBLOCK
TCP, UDP, ICMP, SCTP, UDPLITE, SMC, MPTCP = 6, 17, 1, 132, 136, 256, 262

EPERM = ERRNO | errno.EPERM
ENOSYS = ERRNO | errno.ENOSYS
NO_DOMAIN = ERRNO | errno.EAFNOSUPPORT

each_processor = pytest.mark.parametrize("processor", PROCESSORS)
each_sockets = pytest.mark.parametrize("sockets", SOCKETS)


def ask(processor: str, sockets: str, name: str, *arguments: int) -> int:
    """The one answer to the call, whatever the high halves of its arguments hold."""
    program = load_program(processor, sockets)
    (answer,) = {program.answer(call) for call in make_calls(processor, name, *arguments)}
    return answer


@each_processor
@each_sockets
def test_calls_of_another_processor_end_the_process(processor: str, sockets: str) -> None:
    """No number means anything where it stands for another call: i386, arm, and the other one."""
    program = load_program(processor, sockets)
    others = {0, 0x40000003, 0x40000028, 0xC00000F3, *MACHINES.values()} - {MACHINES[processor]}
    for machine in others:
        for number in (*NUMBERS, X32, 0xFFFFFFFF):
            assert program.answer(Call(number, machine)) == KILL


@each_processor
@each_sockets
def test_numbers_that_no_call_has_are_unknown(processor: str, sockets: str) -> None:
    """x32's, those of later kernels, and negative ones are answered as by an older kernel."""
    program = load_program(processor, sockets)
    known = set(read_numbers(processor).values())
    for number in NUMBERS:
        for unknown in (number | X32, number | 0x80000000, number + 512, 0xFFFFFFFF - number):
            assert program.answer(Call(unknown, MACHINES[processor])) == ENOSYS
        if number not in known:
            # The compiler's table of numbers is newer than its headers, by a call that is refused.
            answer = program.answer(Call(number, MACHINES[processor]))
            assert answer == ENOSYS or (number > max(known) and answer == EPERM), number


@each_processor
@each_sockets
def test_what_attacks_need_is_refused(processor: str, sockets: str) -> None:
    """Whatever the arguments are: nothing of it is even looked at."""
    program = load_program(processor, sockets)
    numbers = read_numbers(processor)
    for name in (FORBIDDEN | ABSENT) & numbers.keys():
        call = Call(numbers[name], MACHINES[processor])
        assert program.follow(call) == (ENOSYS if name in ABSENT else EPERM, False), name


def test_the_tables_name_calls_that_there_are() -> None:
    """A misspelt name in this file would be looked for nowhere."""
    known = set().union(*(read_numbers(processor) for processor in PROCESSORS))
    assert known > FORBIDDEN | ABSENT


@each_sockets
def test_both_processors_judge_alike(sockets: str) -> None:
    """A call that both have gets the same answer by the same arguments."""
    first, second = (read_numbers(processor) for processor in PROCESSORS)
    samples = (0, 1, 2, 0x5412, 0x10000011, 0xFFFFFFFF)
    judged = set()
    for name in first.keys() & second.keys():
        answers = []
        for processor, numbers in zip(PROCESSORS, (first, second), strict=True):
            program, call = (
                load_program(processor, sockets),
                Call(numbers[name], MACHINES[processor]),
            )
            answer, looked = program.follow(call)
            answers.append(
                [answer, *(program.answer(each) for each in vary(call, samples) if looked)]
            )
        assert answers[0] == answers[1], name
        judged |= {name} if len(answers[0]) > 1 else set()
    assert {"clone", "ioctl", "prlimit64", "socketpair"} <= judged


NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)


@each_processor
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("clone", (17,), ALLOW),
        ("clone", (0x003D0F00,), ALLOW),  # what pthread_create(3) asks for
        *(("clone", (17 | flag,), EPERM) for flag in NAMESPACES),
        ("ioctl", (0, 0x5401), ALLOW),
        *(("ioctl", (0, request), EPERM) for request in (0x5412, 0x541C, 0x5423)),
        *(("personality", (kind,), ALLOW) for kind in (0, 8, 0x20000, 0x20008, -1)),
        *(("personality", (kind,), EPERM) for kind in (0x0040000, 0x0400000, 9, 1)),
        ("prctl", (62, 2), ERRNO | errno.EINVAL),
        ("prctl", (4, 0), ALLOW),
        *(
            (name, arguments, ALLOW if arguments[0] == 0 else EPERM)
            for name in (
                "prlimit64",
                "sched_setaffinity",
                "sched_setattr",
                "sched_setparam",
                "sched_setscheduler",
            )
            for arguments in ((0, 7), (1, 7), (-1, 7))
        ),
        ("setpriority", (0, 0, 10), ALLOW),
        ("setpriority", (0, 1, 10), EPERM),
        ("setpriority", (1, 0, 10), EPERM),  # of a process group
        ("setpriority", (2, 0, 10), EPERM),  # of a user
        ("ioprio_set", (1, 0, 0), ALLOW),
        ("ioprio_set", (1, 1, 0), EPERM),
        ("ioprio_set", (2, 0, 0), EPERM),
        ("ioprio_set", (3, 0, 0), EPERM),
        *((name, (1, 9), ALLOW) for name in ("kill", "tgkill", "rt_sigqueueinfo")),
    ],
)
def test_arguments_decide(
    processor: str, name: str, arguments: tuple[int, ...], expected: int
) -> None:
    """A process may change itself, but neither others nor what it stands in."""
    for sockets in SOCKETS:
        assert ask(processor, sockets, name, *arguments) == expected


TCP_SOCKETS = [(AF_INET, STREAM, 0), (AF_INET, STREAM, TCP), (AF_INET6, STREAM | FLAGS, TCP)]
UDP_SOCKETS = [(AF_INET, DGRAM, 0), (AF_INET6, DGRAM | FLAGS, UDP)]
UNIX_SOCKETS = [(AF_UNIX, STREAM, 0), (AF_UNIX, DGRAM | FLAGS, 0), (AF_UNIX, SEQPACKET, 0)]
NO_SOCKETS = [
    (AF_UNSPEC, STREAM, 0),
    *((AF_INET, STREAM, protocol) for protocol in (MPTCP, SCTP, SMC, UDP, -1)),
    *((AF_INET6, DGRAM, protocol) for protocol in (ICMP, UDPLITE, 58, TCP)),
    *((AF_INET, kind, TCP) for kind in (RAW, SEQPACKET, 4, 6, 10, 0)),
    *((domain, STREAM, 0) for domain in (AF_VSOCK, AF_SMC, 3, 31, 41, 46)),
    *((domain, RAW, 0) for domain in (AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_XDP, 15, 29)),
    (AF_ALG, SEQPACKET, 0),
    (AF_NETLINK, DGRAM, 0),
]
MAKES = {
    "none": [],
    "inet": TCP_SOCKETS,
    "unix": UNIX_SOCKETS,
    "inet_and_unix": TCP_SOCKETS + UNIX_SOCKETS,
    "inet_and_udp": TCP_SOCKETS + UDP_SOCKETS,
}


@each_processor
@each_sockets
def test_only_the_sockets_that_were_said_are_made(processor: str, sockets: str) -> None:
    """TCP is TCP alone, not what hides behind the same domain and type."""
    for arguments in TCP_SOCKETS + UDP_SOCKETS + UNIX_SOCKETS + NO_SOCKETS:
        expected = ALLOW if arguments in MAKES[sockets] else NO_DOMAIN
        assert ask(processor, sockets, "socket", *arguments) == expected, arguments


@each_processor
@each_sockets
def test_pairs_only_know_each_other(processor: str, sockets: str) -> None:
    """One of a pair of datagram sockets could send to every other unix socket."""
    has_unix = "unix" in sockets
    for kind in (STREAM, SEQPACKET, STREAM | FLAGS):
        assert ask(processor, sockets, "socketpair", AF_UNIX, kind, 0) == ALLOW
        assert ask(processor, sockets, "socketpair", 30, kind, 0) == NO_DOMAIN  # TIPC
    for kind in (DGRAM, RAW, DGRAM | FLAGS):
        expected = ALLOW if has_unix else NO_DOMAIN
        assert ask(processor, sockets, "socketpair", AF_UNIX, kind, 0) == expected
    for name in ("bind", "connect", "listen", "accept", "accept4"):
        assert ask(processor, sockets, name, 0) == (EPERM if sockets == "none" else ALLOW)


@each_processor
@each_sockets
def test_sending_does_not_connect(processor: str, sockets: str) -> None:
    """MSG_FASTOPEN is refused where there is TCP, as if the kernel did not have it."""
    expected = ERRNO | errno.EOPNOTSUPP if "inet" in sockets else ALLOW
    for name, before in (("sendto", (4, 5, 6)), ("sendmsg", (4, 5)), ("sendmmsg", (4, 5, 6))):
        for flags in (0, 0x4000, 0x40000000 | 0x4000):  # MSG_NOSIGNAL, MSG_CMSG_CLOEXEC
            assert ask(processor, sockets, name, *before, flags) == ALLOW
            assert ask(processor, sockets, name, *before, flags | 0x20000000) == expected


@each_processor
def test_what_is_allowed_costs_no_instructions(processor: str) -> None:
    """The kernel works the answer out ahead: it knows how, and no argument is read."""
    program = load_program(processor, "none")
    assert {code for code, *_ in program.instructions} <= {0x20, 0x15, 0x35, 0x54, 0x05, 0x06}
    numbers = read_numbers(processor)
    for name in ("read", "write", "openat", "mmap", "futex", "execve", "close", "sendmsg"):
        assert program.follow(Call(numbers[name], MACHINES[processor])) == (ALLOW, False)


# With the calls of the 32-bit processor whose programs the kernel runs too (linux/audit.h).
@pytest.mark.parametrize(
    ("processor", "machine", "bits", "refused"),
    [
        ("x86_64", MACHINES["x86_64"], 0, {"splice": 275, "tee": 276}),
        ("x86_64", MACHINES["x86_64"], X32, {"splice": 275, "tee": 276}),
        ("x86_64", 0x40000003, 0, {"splice": 313, "tee": 315}),
        ("aarch64", MACHINES["aarch64"], 0, {"splice": 76, "tee": 77}),
        ("aarch64", 0x40000028, 0, {"splice": 340, "tee": 342}),
    ],
)
def test_outside_of_boxes_no_page_of_a_pipe_is_moved_on_and_all_else_is_allowed(
    processor: str, machine: int, bits: int, refused: dict[str, int]
) -> None:
    """Whatever the arguments are: the filter does not look at them."""
    program = load_unboxed(processor)
    found = {number: program.follow(Call(number | bits, machine)) for number in NUMBERS}
    assert not any(looked for _, looked in found.values())
    answers = {number: answer for number, (answer, _) in found.items() if answer != ALLOW}
    assert answers == dict.fromkeys(refused.values(), ERRNO | errno.EINVAL)
