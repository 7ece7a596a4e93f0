//! What the launcher sets up for itself before it starts the tool.

const std = @import("std");
const linux = std.os.linux;
const Failure = @import("tool.zig").Failure;
const failed = @import("errno.zig").failed;

pub const Preparation = struct {
    /// A non-blocking signalfd of SIGCHLD.
    deaths: i32 = -1,
    /// Memory that the launcher and its child share, however the child is made: an emulator may turn
    /// CLONE_VM into an ordinary fork.
    failure: *Failure = undefined,

    /// Do all of it; the errno of the step that failed, if one did.
    pub fn complete(preparation: *Preparation) ?linux.E {
        // Nothing but SIGKILL may end the launcher before its descendants.
        const everything = linux.sigfillset();
        if (failed(linux.sigprocmask(linux.SIG.SETMASK, &everything, null))) |errno| return errno;
        // Nor may a SIGKILL to the daemon's process group. Fails only in a leader, who has that already.
        _ = linux.setsid();
        resetDispositions();
        fillStandardDescriptors();
        if (set(.SET_CHILD_SUBREAPER, 1)) |errno| return errno;
        if (set(.SET_NO_NEW_PRIVS, 1)) |errno| return errno;
        // The tool runs as the same user. It may not trace the launcher, nor take the control socket
        // from it with pidfd_getfd(2). execve gives the tool the usual setting back.
        if (set(.SET_DUMPABLE, 0)) |errno| return errno;
        if (preparation.openDeaths()) |errno| return errno;
        return preparation.mapFailure();
    }

    fn openDeaths(preparation: *Preparation) ?linux.E {
        var deaths = linux.sigemptyset();
        linux.sigaddset(&deaths, linux.SIG.CHLD);
        const result = linux.signalfd(-1, &deaths, linux.SFD.CLOEXEC | linux.SFD.NONBLOCK);
        if (failed(result)) |errno| return errno;
        preparation.deaths = @intCast(result);
        return null;
    }

    fn mapFailure(preparation: *Preparation) ?linux.E {
        const access = linux.PROT.READ | linux.PROT.WRITE;
        const shared: linux.MAP = .{ .TYPE = .SHARED, .ANONYMOUS = true };
        const result = linux.mmap(null, @sizeOf(Failure), access, shared, -1, 0);
        if (failed(result)) |errno| return errno;
        preparation.failure = @ptrFromInt(result);
        preparation.failure.* = .{};
        return null;
    }
};

fn set(option: linux.PR, value: usize) ?linux.E {
    return failed(linux.prctl(@intFromEnum(option), value, 0, 0, 0));
}

/// A daemon that was started in the background ignores SIGINT, and whoever execs hands that on. The
/// tool inherits the launcher's dispositions; and an ignored SIGCHLD would keep wait(2) from it.
fn resetDispositions() void {
    const default = linux.Sigaction{
        .handler = .{ .handler = linux.SIG.DFL },
        .mask = linux.sigemptyset(),
        .flags = 0,
    };
    for (1..linux.NSIG) |signal| switch (signal) {
        linux.SIG.KILL, linux.SIG.STOP => {},
        else => _ = linux.sigaction(@intCast(signal), &default, null),
    };
}

/// Open /dev/null where descriptors 0 to 2 are closed: a tool that finds one free would print its
/// messages into the first file that it opens. open(2) takes the lowest that is free.
fn fillStandardDescriptors() void {
    for (0..3) |descriptor| {
        if (failed(linux.fcntl(@intCast(descriptor), linux.F.GETFD, 0)) != null)
            _ = linux.open("/dev/null", .{ .ACCMODE = .RDWR }, 0);
    }
}
