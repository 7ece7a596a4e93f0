//! Starts the tool: what happens between the fork and execve(2).

const std = @import("std");
const linux = std.os.linux;
const control = @import("control.zig");
const Order = @import("order.zig").Order;
const failed = @import("errno.zig").failed;

/// The descriptors of a command, in the order in which they are delivered.
pub const Descriptors = struct {
    /// The supervisor's end of the SOCK_SEQPACKET pair that it shares with the daemon.
    control: i32,
    /// The directory in which the tool starts.
    directory: i32,
    /// The tool's stdin, stdout and stderr.
    standard: [3]i32,
};

const Plan = struct {
    order: *const Order,
    descriptors: *const Descriptors,
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
pub fn start(order: *const Order, descriptors: *const Descriptors) ?i32 {
    const plan = Plan{
        .order = order,
        .descriptors = descriptors,
        .supervisor = linux.getpid(),
    };
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

/// The child: returns, which ends it, only if the tool could not be started.
fn run(argument: usize) callconv(.c) u8 {
    const plan: *const Plan = @ptrFromInt(argument);
    const socket = plan.descriptors.control;
    if (prepare(plan)) |errno| return giveUp(socket, .setup_failed, errno);
    if (failed(linux.fchdir(plan.descriptors.directory))) |errno|
        return giveUp(socket, .directory_failed, errno);
    // Every descriptor is close-on-exec already; this does not rest on it. Kernels before 5.11, and
    // seccomp filters that do not know the call, do.
    _ = linux.syscall3(.close_range, 3, std.math.maxInt(u32), close_range_cloexec);
    const nothing = linux.sigemptyset();
    _ = linux.sigprocmask(linux.SIG.SETMASK, &nothing, null);
    const order = plan.order;
    const result = linux.execve(order.program, order.arguments, order.environment);
    return giveUp(socket, .exec_failed, linux.E.init(result));
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
    // A supervisor that is killed takes the tool with it. The setting survives execve, also of
    // set-user-ID programs, since no_new_privs makes those ordinary ones.
    if (failed(linux.prctl(@intFromEnum(linux.PR.SET_PDEATHSIG), linux.SIG.KILL, 0, 0, 0))) |errno|
        return errno;
    // Unless it was killed before that call.
    if (linux.getppid() != plan.supervisor) return .SRCH;
    for (plan.descriptors.standard, 0..) |descriptor, number| {
        if (failed(linux.dup2(descriptor, @intCast(number)))) |errno| return errno;
    }
    if (takeTerminal(plan.order.terminal)) |errno| return errno;
    var limit: linux.rlimit = undefined;
    if (failed(linux.getrlimit(.NOFILE, &limit))) |errno| return errno;
    limit.cur = plan.order.open_files;
    return failed(linux.setrlimit(.NOFILE, &limit));
}

/// Make the pseudo-terminal the session's own, by the first descriptor that is one. Without this the
/// tool would have no /dev/tty, and ^C on the terminal would reach no process.
fn takeTerminal(descriptors: u3) ?linux.E {
    if (descriptors == 0) return null;
    return failed(linux.ioctl(@ctz(descriptors), linux.T.IOCSCTTY, 0));
}
