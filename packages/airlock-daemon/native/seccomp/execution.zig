//! What a box that holds credentials may execute, as far as a filter can tell it: beside that of every box.

const std = @import("std");
const linux = std.os.linux;
const failed = @import("../errno.zig").failed;
const program = @import("program.zig");

const Instruction = program.Instruction;

/// One call of execveat(2) is asked about, of whoever has the listener; none where that is closed. execve(2)
/// is refused at once. The path is in memory, which a filter cannot read: so the first call, of the launcher
/// itself, is let through, and whatever comes later is not. No listener of the tool's own may come before this
/// one: of several filters that ask, the kernel takes the answer of the last (seccomp_unotify(2)).
const once = [_]Instruction{
    program.load(@offsetOf(linux.SECCOMP.data, "nr")),
    is(.execve, 4),
    is(.execveat, 4),
    isNot(.seccomp, 4),
    program.load(@offsetOf(linux.SECCOMP.data, "arg1")),
    .{ .code = linux.BPF.JMP | linux.BPF.JSET | linux.BPF.K, .value = new_listener, .if_true = 0, .if_false = 2 },
    program.refuse(.ACCES),
    program.answer(linux.SECCOMP.RET.USER_NOTIF),
    program.answer(linux.SECCOMP.RET.ALLOW),
};

/// What Landlock does not see is refused: files in memory that have no path.
const by_path = [_]Instruction{
    program.load(@offsetOf(linux.SECCOMP.data, "nr")),
    is(.execveat, 2),
    is(.memfd_create, 1),
    program.answer(linux.SECCOMP.RET.ALLOW),
    program.refuse(.NOSYS),
};

fn is(comptime call: linux.SYS, comptime over: u8) Instruction {
    return .{
        .code = linux.BPF.JMP | linux.BPF.JEQ | linux.BPF.K,
        .value = @intCast(@intFromEnum(call)),
        .if_true = over,
        .if_false = 0,
    };
}

fn isNot(comptime call: linux.SYS, comptime over: u8) Instruction {
    const other = is(call, over);
    return .{ .code = other.code, .value = other.value, .if_true = 0, .if_false = over };
}

const new_listener = linux.SECCOMP.FILTER_FLAG.NEW_LISTENER;

/// Refuse what Landlock does not see, to this process and all that it starts; it needs no_new_privs.
pub fn keepToPaths() ?linux.E {
    return failed(put(&by_path, 0));
}

/// Let one process that this one starts execute something, once; see `Permit.grant`. `permit` is for that.
pub fn allowOne(permit: *Permit) ?linux.E {
    const made = put(&once, new_listener);
    if (failed(made)) |errno| return errno;
    permit.* = .{ .listener = @intCast(made) };
    return null;
}

fn put(instructions: []const Instruction, flags: u32) usize {
    const loaded = program.Program{ .length = @intCast(instructions.len), .instructions = instructions.ptr };
    return linux.seccomp(linux.SECCOMP.SET_MODE_FILTER, flags, &loaded);
}

/// The right to execute one program.
pub const Permit = struct {
    /// Closed on execve(2), so that the program does not have it.
    listener: i32,

    /// Wait until the process `pid` executes something or ends, let that happen, and nothing of the kind ever
    /// after. `deaths` is a signalfd of SIGCHLD, from which nothing is read.
    pub fn grant(permit: Permit, pid: i32, deaths: i32) void {
        defer _ = linux.close(permit.listener);
        var waited = [2]linux.pollfd{
            .{ .fd = permit.listener, .events = linux.POLL.IN, .revents = 0 },
            .{ .fd = deaths, .events = linux.POLL.IN, .revents = 0 },
        };
        while (linux.E.init(linux.poll(&waited, waited.len, -1)) == .INTR) {}
        if (waited[0].revents & linux.POLL.IN == 0) return;
        const calls = linux.SECCOMP.IOCTL_NOTIF;
        var asked = std.mem.zeroes(linux.SECCOMP.notif);
        if (failed(linux.ioctl(permit.listener, calls.RECV, @intFromPtr(&asked))) != null) return;
        // Nobody else is in the box by now.
        if (asked.pid != pid) return;
        const go_on = linux.SECCOMP.USER_NOTIF_FLAG_CONTINUE;
        const answer = linux.SECCOMP.notif_resp{ .id = asked.id, .val = 0, .@"error" = 0, .flags = go_on };
        _ = linux.ioctl(permit.listener, calls.SEND, @intFromPtr(&answer));
    }
};
