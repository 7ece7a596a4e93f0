//! Puts a filter, such as that of a box, on this process, for good.

const std = @import("std");
const builtin = @import("builtin");
const linux = std.os.linux;
const failed = @import("../errno.zig").failed;
const program = @import("program.zig");

pub const Sockets = @import("rules.zig").Sockets;

/// Confine this process, and whatever it starts or executes from now on, to the system calls of a box that
/// may make `sockets`. Nothing takes that back. Sets no_new_privs, without which the kernel wants a
/// capability. Of a process with several threads only the one that calls is confined. Without a filter the
/// answer says why, and no box must start: NOSYS where the kernel has none, as under an emulator, NOMEM, or
/// PERM, as where a filter that this process has already does not let it take another.
pub fn confine(sockets: Sockets) ?linux.E {
    if (failed(linux.prctl(@intFromEnum(linux.PR.SET_NO_NEW_PRIVS), 1, 0, 0, 0))) |errno| return explain(errno);
    return load(own(sockets));
}

/// Filter the calls of this process, which has no_new_privs, and of whatever it starts, for good. Answers as
/// `confine` does.
pub fn load(instructions: []const program.Instruction) ?linux.E {
    const loaded = program.Program{ .length = @intCast(instructions.len), .instructions = instructions.ptr };
    if (failed(linux.seccomp(linux.SECCOMP.SET_MODE_FILTER, 0, &loaded))) |errno| return explain(errno);
    return null;
}

fn own(sockets: Sockets) []const program.Instruction {
    const processor = @field(program.Processor, @tagName(builtin.cpu.arch));
    return switch (sockets) {
        inline else => |each| comptime program.build(processor, each),
    };
}

fn explain(errno: linux.E) linux.E {
    return switch (errno) {
        .INVAL, .NOSYS, .FAULT => .NOSYS,
        .NOMEM => .NOMEM,
        else => .PERM,
    };
}
