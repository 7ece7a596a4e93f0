//! System calls that are judged by their arguments, or refused in a way of their own.

const std = @import("std");
const linux = std.os.linux;

/// Which sockets a box may make. A pair of unix sockets that only know each other it always may.
/// The numbers are those of an order.
pub const Sockets = enum(u8) {
    none = 0,
    /// TCP over IPv4 and IPv6.
    inet = 1,
    /// Unix sockets of all types.
    unix = 2,
    inet_and_unix = 3,
    /// TCP and UDP over IPv4 and IPv6: for a box on the host's network, where names are resolved by UDP.
    inet_and_udp = 4,

    pub fn hasInet(allowed: Sockets) bool {
        return switch (allowed) {
            .none, .unix => false,
            .inet, .inet_and_unix, .inet_and_udp => true,
        };
    }

    pub fn hasUnix(allowed: Sockets) bool {
        return allowed == .unix or allowed == .inet_and_unix;
    }
};

/// What one argument must be. Only its low 32 bits are looked at: the kernel takes no more of any of
/// these arguments, so the high ones must not make a difference.
pub const Condition = struct {
    /// Which one, from 0.
    argument: u3,
    mask: u32 = 0xffff_ffff,
    /// What the argument may be, once masked; or, with `excluded`, may not be.
    values: []const u32,
    excluded: bool = false,
};

pub const Rule = struct {
    name: []const u8,
    /// Allowed if all conditions of one of these hold; never, if there is none.
    alternatives: []const []const Condition = &.{},
    /// The answer otherwise.
    refusal: linux.E = .PERM,
};

const itself = &.{Condition{ .argument = 0, .values = &.{0} }};

/// In every box.
pub const always = [_]Rule{
    // No namespaces. What glibc makes of clone's old form when clone3 is not there has its flags in a
    // register; those of clone3 are in memory, which a filter cannot read.
    .{ .name = "clone", .alternatives = &.{&.{.{ .argument = 0, .mask = namespaces, .values = &.{0} }}} },
    .{ .name = "clone3", .refusal = .NOSYS },
    // A page that a client has put into a fifo of the workspace, and whose lock it holds, must not get to the
    // daemon: whoever reads it waits. So answers a file that cannot be spliced, and programs copy.
    .{ .name = "splice", .refusal = .INVAL },
    .{ .name = "tee", .refusal = .INVAL },
    // Neither typing into a terminal (TIOCSTI; TIOCLINUX pastes), nor another line discipline for it, which
    // would load drivers that nothing in a box needs.
    .{ .name = "ioctl", .alternatives = &.{&.{.{ .argument = 1, .values = &.{
        linux.T.IOCSTI, TIOCLINUX, linux.T.IOCSETD,
    }, .excluded = true }}} },
    // Linux itself, 32-bit names for uname(2), and asking. What is left out makes attacks easier: no random
    // addresses, readable memory that is executable.
    .{ .name = "personality", .alternatives = &.{&.{.{ .argument = 0, .values = &.{
        0, PER_LINUX32, UNAME26, PER_LINUX32 | UNAME26, 0xffff_ffff,
    } }}} },
    // Sharing a core with a process (core scheduling) reaches others of the same user.
    .{ .name = "prctl", .alternatives = &.{&.{
        .{ .argument = 0, .values = &.{PR_SCHED_CORE}, .excluded = true },
    }}, .refusal = .INVAL },
    // A process's limits and its place among others are its own affair. Where there is no PID
    // namespace, these would reach everything of the same user.
    .{ .name = "prlimit64", .alternatives = &.{itself} },
    .{ .name = "sched_setaffinity", .alternatives = &.{itself} },
    .{ .name = "sched_setattr", .alternatives = &.{itself} },
    .{ .name = "sched_setparam", .alternatives = &.{itself} },
    .{ .name = "sched_setscheduler", .alternatives = &.{itself} },
    .{ .name = "setpriority", .alternatives = &.{&.{
        .{ .argument = 0, .values = &.{PRIO_PROCESS} },
        .{ .argument = 1, .values = &.{0} },
    }} },
    .{ .name = "ioprio_set", .alternatives = &.{&.{
        .{ .argument = 0, .values = &.{IOPRIO_WHO_PROCESS} },
        .{ .argument = 1, .values = &.{0} },
    }} },
} ++ absent;

/// Answered as by a kernel that was built without them, for which libraries have another way. Objects of
/// System V and message queues outlive the box and its limits of memory, and where the box has no IPC
/// namespace they are the host's. Asynchronous I/O uses up a number that all of the host share. The
/// others tell of mounts and of security modules.
const absent = absences(
    \\shmget shmat shmctl shmdt semget semop semtimedop semctl msgget msgsnd msgrcv msgctl
    \\mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr
    \\io_setup io_submit io_cancel io_destroy io_getevents io_pgetevents
    \\statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules
);

/// `socket` and `socketpair` for a box with these sockets.
pub fn making(comptime allowed: Sockets) [2]Rule {
    const unix = &.{Condition{ .argument = 0, .values = &.{linux.AF.UNIX} }};
    const tcp = ofInternet(linux.SOCK.STREAM, linux.IPPROTO.TCP);
    const udp = ofInternet(linux.SOCK.DGRAM, linux.IPPROTO.UDP);
    // The two of a pair of datagram sockets can be given an address, and send to any other: they would
    // be unix sockets like all others, and carry descriptors in and out. A pair of raw ones is the same.
    const pair = &.{
        unix[0],
        Condition{ .argument = 1, .mask = type_bits, .values = &.{ linux.SOCK.STREAM, linux.SOCK.SEQPACKET } },
    };
    return .{
        .{ .name = "socket", .refusal = .AFNOSUPPORT, .alternatives = switch (allowed) {
            .none => &.{},
            .inet => &.{tcp},
            .unix => &.{unix},
            .inet_and_unix => &.{ tcp, unix },
            .inet_and_udp => &.{ tcp, udp },
        } },
        .{
            .name = "socketpair",
            .refusal = .AFNOSUPPORT,
            .alternatives = if (allowed.hasUnix()) &.{unix} else &.{pair},
        },
    };
}

/// Sending where there is TCP: not with MSG_FASTOPEN, which connects on the way. Landlock, which confines
/// where connect(2) leads, does not see that (Linux 6.18). So answers a kernel that does not have it.
pub fn sending(comptime allowed: Sockets) []const Rule {
    if (!allowed.hasInet()) return &.{};
    return &.{ withoutFastOpen("sendto", 3), withoutFastOpen("sendmsg", 2), withoutFastOpen("sendmmsg", 3) };
}

fn withoutFastOpen(comptime name: []const u8, comptime flags: u3) Rule {
    return .{ .name = name, .refusal = .OPNOTSUPP, .alternatives = &.{&.{
        .{ .argument = flags, .mask = linux.MSG.FASTOPEN, .values = &.{0} },
    }} };
}

/// The type and the protocol together: a stream is also SCTP, MPTCP or SMC by another protocol, a datagram
/// also ICMP or UDP-Lite.
fn ofInternet(comptime kind: u32, comptime protocol: u32) []const Condition {
    return &.{
        .{ .argument = 0, .values = &.{ linux.AF.INET, linux.AF.INET6 } },
        .{ .argument = 1, .mask = type_bits, .values = &.{kind} },
        .{ .argument = 2, .values = &.{ 0, protocol } },
    };
}

/// SOCK_TYPE_MASK of linux/net.h: the rest of a type are flags.
const type_bits = 0xf;

const namespaces = linux.CLONE.NEWNS | linux.CLONE.NEWCGROUP | linux.CLONE.NEWUTS | linux.CLONE.NEWIPC |
    linux.CLONE.NEWUSER | linux.CLONE.NEWPID | linux.CLONE.NEWNET;

// asm-generic/ioctls.h, linux/personality.h, linux/prctl.h, linux/resource.h, linux/ioprio.h.
const TIOCLINUX = 0x541c;
const PER_LINUX32 = 8;
const UNAME26 = 0x0020000;
const PR_SCHED_CORE = 62;
const PRIO_PROCESS = 0;
const IOPRIO_WHO_PROCESS = 1;

fn absences(comptime names: []const u8) []const Rule {
    @setEvalBranchQuota(10_000);
    var rules: []const Rule = &.{};
    var words = std.mem.tokenizeAny(u8, names, " \n");
    while (words.next()) |name| rules = rules ++ .{Rule{ .name = name, .refusal = .NOSYS }};
    return rules;
}
