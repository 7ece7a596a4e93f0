//! Starts the tool: what happens between the fork and execve(2).

const std = @import("std");
const linux = std.os.linux;
const control = @import("control.zig");
const delivery = @import("delivery.zig");
const landlock = @import("landlock.zig");
const limits = @import("limits.zig");
const orders = @import("order.zig");
const Place = @import("place.zig").Place;
const seccomp = @import("seccomp/install.zig");
const failed = @import("errno.zig").failed;

/// The descriptors of a command, in the order in which they are delivered.
pub const Descriptors = struct {
    /// The supervisor's end of the SOCK_SEQPACKET pair that it shares with the daemon.
    control: i32,
    /// The directory in which the tool starts; none in a box, where `place` names it.
    directory: i32,
    /// The tool's stdin, stdout and stderr.
    standard: [3]i32,
    /// What else it has, from 3 on.
    kept: []const i32 = &.{},
    /// What its fence leaves to it; the tool does not get these themselves.
    rules: []const i32 = &.{},
    /// The directory of the cgroup in which it starts; null for that of its supervisor.
    cgroup: ?i32 = null,
};

const Plan = struct {
    order: *const orders.Order,
    descriptors: *const Descriptors,
    place: ?*const Place,
    supervisor: i32,
};

// The child runs a handful of system calls on it, none of which needs more than a few hundred bytes.
var child_stack: [16 * 1024]u8 align(16) = undefined;

/// Start the tool as the leader of a session of its own. Every signal must be blocked, with the
/// default disposition, when this is called: the child inherits both and may not run a handler in
/// memory that it shares with its parent. None of `descriptors` is below 3. Returns the tool's process
/// number, which is also that of its session and process group. If the tool cannot be started, that
/// is reported.
///
/// CLONE_VM and CLONE_VFORK spare a copy of the page tables; the child has a stack of its own, so
/// that it cannot disturb the frame to which the parent returns.
///
/// A tool of another cgroup is forked into it (CLONE_INTO_CGROUP of clone(2), Linux 5.7): to move a process
/// later waits for all processors. That call is not for a child that shares memory.
///
/// A `place` is there in a box, whose filter this process has; the order's fence stands for a box where
/// there is none, and then the tool gets the filter. In both it gets the limits.
pub fn start(order: *const orders.Order, descriptors: *const Descriptors, place: ?*const Place) ?i32 {
    const plan = Plan{
        .order = order,
        .descriptors = descriptors,
        .place = place,
        .supervisor = linux.getpid(),
    };
    if (descriptors.cgroup) |cgroup| return forkInto(cgroup, &plan);
    const result = linux.clone(
        run,
        @intFromPtr(&child_stack) + child_stack.len,
        linux.CLONE.VM | linux.CLONE.VFORK | linux.SIG.CHLD,
        @intFromPtr(&plan),
        null,
        0,
        null,
    );
    if (failed(result)) |errno| {
        control.sendFailure(descriptors.control, .setup_failed, errno);
        return null;
    }
    return @intCast(result);
}

/// struct clone_args of linux/sched.h.
const CloneArguments = extern struct {
    flags: u64,
    pidfd: u64 = 0,
    child_tid: u64 = 0,
    parent_tid: u64 = 0,
    exit_signal: u64,
    stack: u64 = 0,
    stack_size: u64 = 0,
    tls: u64 = 0,
    set_tid: u64 = 0,
    set_tid_size: u64 = 0,
    cgroup: u64,
};

const clone_into_cgroup = 0x200000000;

fn forkInto(cgroup: i32, plan: *const Plan) ?i32 {
    const arguments = CloneArguments{
        .flags = clone_into_cgroup,
        .exit_signal = linux.SIG.CHLD,
        .cgroup = @intCast(cgroup),
    };
    const result = linux.syscall2(.clone3, @intFromPtr(&arguments), @sizeOf(CloneArguments));
    if (result == 0) linux.exit_group(run(@intFromPtr(plan)));
    if (failed(result)) |errno| {
        control.sendFailure(plan.descriptors.control, .setup_failed, errno);
        return null;
    }
    return @intCast(result);
}

/// The child: returns, which ends it, only if the tool could not be started.
fn run(argument: usize) callconv(.c) u8 {
    const plan: *const Plan = @ptrFromInt(argument);
    var socket = plan.descriptors.control;
    if (prepare(plan)) |errno| return giveUp(socket, .setup_failed, errno);
    if (enter(plan)) |errno| return giveUp(socket, .directory_failed, errno);
    if (plan.order.header.fence) |*fence| {
        if (encircle(fence, plan.descriptors.rules)) |errno| return giveUp(socket, .setup_failed, errno);
    }
    // Every descriptor is close-on-exec already; this does not rest on it. Kernels before 5.11, and
    // seccomp filters that do not know the call, do.
    const first: u32 = @intCast(3 + plan.descriptors.kept.len);
    if (first > 3) {
        if (keep(plan, &socket, first)) |errno| return giveUp(socket, .setup_failed, errno);
    }
    _ = linux.syscall3(.close_range, first, std.math.maxInt(u32), close_range_cloexec);
    const nothing = linux.sigemptyset();
    _ = linux.sigprocmask(linux.SIG.SETMASK, &nothing, null);
    if (plan.place != null or plan.order.header.fence != null) {
        if (limits.set(plan.order.header.limits)) |errno| return giveUp(socket, .setup_failed, errno);
    }
    // Last, since it forbids more than is needed until then.
    if (plan.order.header.fence) |*fence| {
        if (seccomp.confine(fence.sockets)) |errno| return giveUp(socket, .setup_failed, errno);
    }
    return giveUp(socket, .exec_failed, linux.E.init(execute(plan)));
}

/// Returns only if that fails.
fn execute(plan: *const Plan) usize {
    const order = plan.order;
    return linux.execve(order.program, order.arguments, order.environment);
}

/// close_range(2): set the flag instead of closing.
const close_range_cloexec = 4;

/// Report why there is no tool, as the last that is said of this command: the supervisor's report of
/// this process's end must not follow it.
fn giveUp(socket: i32, report: control.Report, errno: linux.E) u8 {
    control.sendFailure(socket, report, errno);
    _ = linux.shutdown(socket, linux.SHUT.WR);
    return 127;
}

fn prepare(plan: *const Plan) ?linux.E {
    // The session separates the tool from the supervisor's group, so that a signal to the tool's
    // group is the tool's alone. It cannot fail in a process that was just forked.
    _ = linux.setsid();
    // Before the next step, which a change of the user would undo.
    if (plan.order.header.user != orders.same) {
        if (become(plan.order.header.user, plan.order.header.group)) |errno| return errno;
    }
    // A supervisor that is killed takes the tool with it. The setting survives execve, also of
    // set-user-ID programs, since no_new_privs makes those ordinary ones.
    if (failed(linux.prctl(@intFromEnum(linux.PR.SET_PDEATHSIG), linux.SIG.KILL, 0, 0, 0))) |errno|
        return errno;
    // Unless it was killed before that call.
    if (linux.getppid() != plan.supervisor) return .SRCH;
    for (plan.descriptors.standard, 0..) |descriptor, number| {
        if (failed(linux.dup2(descriptor, @intCast(number)))) |errno| return errno;
    }
    if (takeTerminal(plan.order.header.terminal)) |errno| return errno;
    var files: linux.rlimit = undefined;
    if (failed(linux.getrlimit(.NOFILE, &files))) |errno| return errno;
    files.cur = plan.order.header.open_files;
    return failed(linux.setrlimit(.NOFILE, &files));
}

/// Become another user for good, in no further group. It needs root.
fn become(user: u32, group: u32) ?linux.E {
    if (failed(linux.setgroups(0, &[_]linux.gid_t{0}))) |errno| return errno;
    if (failed(linux.setresgid(group, group, group))) |errno| return errno;
    return failed(linux.setresuid(user, user, user));
}

fn enter(plan: *const Plan) ?linux.E {
    var directory = plan.descriptors.directory;
    if (plan.place) |place| {
        if (place.open(&directory)) |errno| return errno;
    }
    return failed(linux.fchdir(directory));
}

/// Give the tool what it keeps, as descriptors from 3 on. First all of it, and `socket`, are moved out of
/// the way of each other.
fn keep(plan: *const Plan, socket: *i32, first: u32) ?linux.E {
    var moved: [delivery.most_descriptors]i32 = undefined;
    for (plan.descriptors.kept, 0..) |descriptor, index| {
        if (moveUp(descriptor, first, &moved[index])) |errno| return errno;
    }
    if (moveUp(socket.*, first, socket)) |errno| return errno;
    for (moved[0..plan.descriptors.kept.len], 3..) |descriptor, number| {
        if (failed(linux.dup2(descriptor, @intCast(number)))) |errno| return errno;
    }
    return null;
}

/// fcntl(2): F_DUPFD_CLOEXEC.
const dupfd_cloexec = 1024 + 6;

fn moveUp(descriptor: i32, least: u32, moved: *i32) ?linux.E {
    const result = linux.fcntl(descriptor, dupfd_cloexec, least);
    if (failed(result)) |errno| return errno;
    moved.* = @intCast(result);
    return null;
}

/// Leave to the tool what the fence names. Where it starts is open already, and what runs it must be among
/// what it may read.
fn encircle(fence: *const orders.Fence, descriptors: []const i32) ?linux.E {
    var rules: [delivery.most_descriptors]landlock.Rule = undefined;
    const named = @as(usize, fence.read) + fence.written + fence.used;
    for (descriptors[0..named], 0..) |descriptor, number| rules[number] = .{
        .descriptor = descriptor,
        .access = if (number < fence.read)
            .read
        else if (number < @as(usize, fence.read) + fence.written) .write else .use,
    };
    return landlock.confine(rules[0..named], .{
        .connects = fence.sockets.hasInet(),
        .opened = descriptors[named..][0..fence.opened],
        .hidden = descriptors[named + fence.opened ..],
    });
}

/// Make the pseudo-terminal the session's own, by the first descriptor that is one. Without this the
/// tool would have no /dev/tty, and ^C on the terminal would reach no process.
fn takeTerminal(descriptors: u3) ?linux.E {
    if (descriptors == 0) return null;
    return failed(linux.ioctl(@ctz(descriptors), linux.T.IOCSCTTY, 0));
}
