//! What the service sets up for itself, once; the supervisors that it forks inherit it.

const std = @import("std");
const linux = std.os.linux;
const failed = @import("errno.zig").failed;

pub const Preparation = struct {
    /// A non-blocking signalfd of SIGCHLD. In each process that inherits it, it tells of that
    /// process's own children.
    deaths: i32 = -1,

    /// Do all of it; the errno of the step that failed, if one did. Of what was open above descriptor
    /// 2, `kept` alone stays so; there may be some of them twice.
    pub fn complete(preparation: *Preparation, kept: []const i32) ?linux.E {
        // Nothing but SIGKILL may end a supervisor before its descendants.
        const everything = linux.sigfillset();
        if (failed(linux.sigprocmask(linux.SIG.SETMASK, &everything, null))) |errno| return errno;
        // Nor may a SIGKILL to the daemon's process group. Fails only in a leader, which has that already.
        _ = linux.setsid();
        // A daemon that was started in the background ignores SIGINT, which execve(2) hands on.
        resetDispositions();
        closeOthers(kept);
        fillStandardDescriptors();
        if (set(.SET_NO_NEW_PRIVS, 1)) |errno| return errno;
        // Tools run as the same user. They may not trace the service or a supervisor, nor take sockets
        // from them with pidfd_getfd(2). execve gives the tool the usual setting back.
        if (set(.SET_DUMPABLE, 0)) |errno| return errno;
        // What a process leaves behind that is killed becomes a child of this one.
        if (set(.SET_CHILD_SUBREAPER, 1)) |errno| return errno;
        return preparation.openDeaths();
    }

    fn openDeaths(preparation: *Preparation) ?linux.E {
        var deaths = linux.sigemptyset();
        linux.sigaddset(&deaths, linux.SIG.CHLD);
        const result = linux.signalfd(-1, &deaths, linux.SFD.CLOEXEC | linux.SFD.NONBLOCK);
        if (failed(result)) |errno| return errno;
        preparation.deaths = @intCast(result);
        return null;
    }
};

/// Give every signal that can have another one its default disposition (sigaction(2)).
fn resetDispositions() void {
    const action = linux.Sigaction{
        .handler = .{ .handler = linux.SIG.DFL },
        .mask = linux.sigemptyset(),
        .flags = 0,
    };
    for (1..linux.NSIG) |signal| switch (signal) {
        linux.SIG.KILL, linux.SIG.STOP => {},
        else => _ = linux.sigaction(@intCast(signal), &action, null),
    };
}

fn set(option: linux.PR, value: usize) ?linux.E {
    return failed(linux.prctl(@intFromEnum(option), value, 0, 0, 0));
}

/// What the daemon forgot to make close-on-exec would stay open as long as the service lives. Kernels
/// before 5.9 have no close_range(2); there it does.
fn closeOthers(kept: []const i32) void {
    var first: u32 = 3;
    while (true) {
        var next: u32 = std.math.maxInt(u32);
        for (kept) |descriptor| {
            if (descriptor >= first) next = @min(next, @as(u32, @intCast(descriptor)));
        }
        // Of an empty range it makes nothing.
        const last = if (next == std.math.maxInt(u32)) next else next - 1;
        _ = linux.syscall3(.close_range, first, last, 0);
        if (last == next) return;
        first = next + 1;
    }
}

/// Open /dev/null where descriptors 0 to 2 are closed, so that those of a command are all above them.
/// open(2) takes the lowest that is free.
fn fillStandardDescriptors() void {
    for (0..3) |descriptor| {
        if (failed(linux.fcntl(@intCast(descriptor), linux.F.GETFD, 0)) != null)
            _ = linux.open("/dev/null", .{ .ACCMODE = .RDWR }, 0);
    }
}
