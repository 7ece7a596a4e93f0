//! The signals that a person or a script sends to the shim, taken as data instead of by handlers.
//!
//! They are blocked and read from a signalfd (signalfd(2)), so that no code runs in the middle of
//! other code, and so that one which comes before the daemon has begun is kept. The
//! kernel queues a blocked signal even where it is ignored, and even for the first process of a
//! container (pid_namespaces(7)).

const std = @import("std");
const system = @import("system.zig");
const linux = system.linux;

/// A signal that the protocol has, and the name that it has there.
pub const Named = struct { number: u8, name: []const u8 };

pub const forwardable = [_]Named{
    .{ .number = linux.SIG.INT, .name = "SIGINT" },
    .{ .number = linux.SIG.TERM, .name = "SIGTERM" },
    .{ .number = linux.SIG.HUP, .name = "SIGHUP" },
    .{ .number = linux.SIG.QUIT, .name = "SIGQUIT" },
    .{ .number = linux.SIG.USR1, .name = "SIGUSR1" },
    .{ .number = linux.SIG.USR2, .name = "SIGUSR2" },
    .{ .number = linux.SIG.WINCH, .name = "SIGWINCH" },
};

/// The signal's name in the protocol; null for one that the protocol has not.
pub fn nameOf(number: u8) ?[]const u8 {
    for (forwardable) |signal| if (signal.number == number) return signal.name;
    return null;
}

/// Whether the signal ends a process that does not handle it. Of those that are taken here all do
/// but two.
pub fn endsProcess(number: u8) bool {
    return number != linux.SIG.WINCH and number != linux.SIG.CONT;
}

pub const Signals = struct {
    /// What was blocked when the shim was started.
    inherited: linux.sigset_t,
    /// Readable when a signal is there; -1 where signals have their usual effect.
    fd: i32,

    /// From now on signals are kept until `next` asks for them, and a write to a pipe without a
    /// reader fails instead of ending the process. Signals that were inherited as blocked stay
    /// so, and are not read. Where there is no descriptor to be had nothing changes.
    pub fn hold() Signals {
        var set = taken();
        linux.sigaddset(&set, linux.SIG.PIPE);
        var signals: Signals = .{ .inherited = undefined, .fd = -1 };
        _ = linux.sigprocmask(linux.SIG.BLOCK, &set, &signals.inherited);
        var readable = taken();
        for (&readable, signals.inherited) |*word, blocked| word.* &= ~blocked;
        const opened = system.signalDescriptor(&readable);
        if (opened.ok()) signals.fd = opened.descriptor() else signals.release();
        return signals;
    }

    /// The next signal that is there; null when there is none. One that was inherited as ignored
    /// (nohup(1), a shell's background job) stays so.
    pub fn next(signals: *const Signals) ?u8 {
        while (true) {
            var information: linux.signalfd_siginfo = undefined;
            const read = system.read(signals.fd, std.mem.asBytes(&information));
            if (!read.ok() or read.value != @sizeOf(linux.signalfd_siginfo)) return null;
            const number: u8 = @intCast(information.signo);
            if (!isIgnored(number)) return number;
        }
    }

    /// Gives all signals but SIGPIPE their usual effect again. One that is pending has it at once.
    pub fn release(signals: *Signals) void {
        if (signals.fd >= 0) system.close(signals.fd);
        signals.fd = -1;
        var mask = signals.inherited;
        linux.sigaddset(&mask, linux.SIG.PIPE);
        _ = linux.sigprocmask(linux.SIG.SETMASK, &mask, null);
    }
};

/// Makes a later write to a pipe without a reader fail instead of ending the process.
pub fn holdBrokenPipe() void {
    changeMask(linux.SIG.BLOCK, linux.SIG.PIPE);
}

/// Ends the process by `number`, whatever was inherited for that signal and however it is blocked.
pub fn dieOf(number: u8) noreturn {
    // SIGQUIT would leave a core file of the shim, which is of no use.
    _ = linux.prctl(@intFromEnum(linux.PR.SET_DUMPABLE), 0, 0, 0, 0);
    const default: linux.Sigaction = .{
        .handler = .{ .handler = linux.SIG.DFL },
        .mask = linux.sigemptyset(),
        .flags = 0,
    };
    _ = linux.sigaction(number, &default, null);
    _ = linux.kill(linux.getpid(), number);
    changeMask(linux.SIG.UNBLOCK, number);
    // Only a process 1 of its own namespace gets here: the kernel spares it.
    linux.exit_group(128 + @as(i32, number));
}

/// Has `number` end the process at once, with the exit status that a shell reports for it.
pub fn exitOn(number: u8) void {
    const action: linux.Sigaction = .{
        .handler = .{ .handler = exitFor },
        .mask = linux.sigemptyset(),
        .flags = 0,
    };
    _ = linux.sigaction(number, &action, null);
}

fn exitFor(number: i32) callconv(.c) void {
    linux.exit_group(128 + number);
}

/// SIGCONT is among them because a terminal's modes may have been changed while we were stopped.
/// It continues the process though it is blocked.
fn taken() linux.sigset_t {
    var set = linux.sigemptyset();
    for (forwardable) |signal| linux.sigaddset(&set, signal.number);
    linux.sigaddset(&set, linux.SIG.CONT);
    return set;
}

fn isIgnored(number: u8) bool {
    var action: linux.Sigaction = undefined;
    if (linux.sigaction(number, null, &action) != 0) return false;
    return action.handler.handler == linux.SIG.IGN;
}

fn changeMask(how: u32, number: u8) void {
    var set = linux.sigemptyset();
    linux.sigaddset(&set, number);
    _ = linux.sigprocmask(how, &set, null);
}

test "the protocol's signals have names, and others have none" {
    try std.testing.expectEqualStrings("SIGINT", nameOf(2).?);
    try std.testing.expectEqualStrings("SIGWINCH", nameOf(28).?);
    try std.testing.expectEqual(null, nameOf(linux.SIG.KILL));
    try std.testing.expectEqual(null, nameOf(linux.SIG.CONT));
}

test "a signal that is held can be read, and one that is ignored is not" {
    var signals = Signals.hold();
    defer signals.release();
    try std.testing.expectEqual(null, signals.next());
    _ = linux.kill(linux.getpid(), linux.SIG.USR1);
    try std.testing.expectEqual(linux.SIG.USR1, signals.next().?);

    var before: linux.Sigaction = undefined;
    const ignoring: linux.Sigaction = .{
        .handler = .{ .handler = linux.SIG.IGN },
        .mask = linux.sigemptyset(),
        .flags = 0,
    };
    _ = linux.sigaction(linux.SIG.USR2, &ignoring, &before);
    defer _ = linux.sigaction(linux.SIG.USR2, &before, null);
    _ = linux.kill(linux.getpid(), linux.SIG.USR2);
    try std.testing.expectEqual(null, signals.next());
}
