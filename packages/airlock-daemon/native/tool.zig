//! Starts the tool: what happens between the fork and execve(2).

const std = @import("std");
const linux = std.os.linux;
const CommandLine = @import("command_line.zig").CommandLine;
const Vector = @import("command_line.zig").Vector;
const Report = @import("control.zig").Report;
const failed = @import("errno.zig").failed;

/// Why the tool never ran: written by the child, read after the child was reaped.
pub const Failure = struct {
    report: ?Report = null,
    errno: i32 = 0,

    pub fn set(failure: *Failure, report: Report, errno: linux.E) void {
        failure.* = .{ .report = report, .errno = @intFromEnum(errno) };
    }
};

const Plan = struct {
    command: *const CommandLine,
    environment: Vector,
    launcher: i32,
    failure: *Failure,
};

// The child runs a handful of system calls on it, none of which needs more than a few hundred bytes.
var child_stack: [16 * 1024]u8 align(16) = undefined;

/// Start the tool as the leader of a session of its own. Every signal must be blocked, with the
/// default disposition, when this is called: the child inherits both and may not run a handler in
/// memory that it shares with its parent. Returns its process number, which is also that of its
/// session and process group; null, with `failure` filled, if there is no child.
///
/// CLONE_VM and CLONE_VFORK spare a copy of the page tables; the child has a stack of its own, so
/// that it cannot disturb the frame to which the parent returns.
pub fn start(command: *const CommandLine, environment: Vector, failure: *Failure) ?i32 {
    const plan = Plan{
        .command = command,
        .environment = environment,
        .launcher = linux.getpid(),
        .failure = failure,
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
        failure.set(.setup_failed, errno);
        return null;
    }
    return @intCast(result);
}

/// The child: returns, which ends it, only if the tool could not be started.
fn run(argument: usize) callconv(.c) u8 {
    const plan: *const Plan = @ptrFromInt(argument);
    const command = plan.command;
    if (prepare(plan.launcher, command.open_files)) |errno| {
        plan.failure.set(.setup_failed, errno);
        return 127;
    }
    if (failed(linux.fchdir(command.directory))) |errno| {
        plan.failure.set(.directory_failed, errno);
        return 127;
    }
    closeDescriptors(command);
    const nothing = linux.sigemptyset();
    _ = linux.sigprocmask(linux.SIG.SETMASK, &nothing, null);
    const result = linux.execve(command.program, command.arguments, plan.environment);
    plan.failure.set(.exec_failed, linux.E.init(result));
    return 127;
}

fn prepare(launcher: i32, open_files: u64) ?linux.E {
    // The session separates the tool from the launcher's group, so that a signal to the tool's
    // group is the tool's alone. It cannot fail in a process that was just forked.
    _ = linux.setsid();
    // A launcher that is killed takes the tool with it. The setting survives execve, also of
    // set-user-ID programs, since no_new_privs makes those ordinary ones.
    if (failed(linux.prctl(@intFromEnum(linux.PR.SET_PDEATHSIG), linux.SIG.KILL, 0, 0, 0))) |errno|
        return errno;
    // Unless it was killed before that call.
    if (linux.getppid() != launcher) return .SRCH;
    var limit: linux.rlimit = undefined;
    if (failed(linux.getrlimit(.NOFILE, &limit))) |errno| return errno;
    limit.cur = open_files;
    return failed(linux.setrlimit(.NOFILE, &limit));
}

/// Leave the tool nothing above descriptor 2. Everything that the daemon does not hand over on
/// purpose is close-on-exec already; kernels before 5.9, and seccomp filters that do not know
/// close_range(2), have only that to rely on.
fn closeDescriptors(command: *const CommandLine) void {
    const everything = std.math.maxInt(u32);
    if (failed(linux.syscall3(.close_range, 3, everything, 0)) == null) return;
    _ = linux.close(command.control);
    _ = linux.close(command.directory);
}
