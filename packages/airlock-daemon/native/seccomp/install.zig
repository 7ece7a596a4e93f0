//! Puts the filter of a box on this process, for good.

const std = @import("std");
const builtin = @import("builtin");
const linux = std.os.linux;
const failed = @import("../errno.zig").failed;
const program = @import("program.zig");

pub const Sockets = @import("rules.zig").Sockets;

/// Why there is no filter. A box must not start without one.
pub const Fault = error{
    /// The kernel has no seccomp filters, as under an emulator (EINVAL, ENOSYS).
    Unsupported,
    /// A filter that this process has already does not let it take another.
    Refused,
    OutOfMemory,
};

/// Confine this process, and whatever it starts or executes from now on, to the system calls of a box that
/// may make `sockets`. Nothing takes that back. Sets no_new_privs, without which the kernel wants a
/// capability. Of a process with several threads only the one that calls is confined.
pub fn install(sockets: Sockets) Fault!void {
    if (failed(linux.prctl(@intFromEnum(linux.PR.SET_NO_NEW_PRIVS), 1, 0, 0, 0))) |errno| return fault(errno);
    const instructions = own(sockets);
    const loaded = program.Program{ .length = @intCast(instructions.len), .instructions = instructions.ptr };
    if (failed(linux.seccomp(linux.SECCOMP.SET_MODE_FILTER, 0, &loaded))) |errno| return fault(errno);
}

/// The same; the errno that tells of a fault, if there was one.
pub fn confine(sockets: Sockets) ?linux.E {
    install(sockets) catch |found| return switch (found) {
        error.Unsupported => .NOSYS,
        error.Refused => .PERM,
        error.OutOfMemory => .NOMEM,
    };
    return null;
}

fn own(sockets: Sockets) []const program.Instruction {
    const processor = @field(program.Processor, @tagName(builtin.cpu.arch));
    return switch (sockets) {
        inline else => |each| comptime program.build(processor, each),
    };
}

fn fault(errno: linux.E) Fault {
    return switch (errno) {
        .INVAL, .NOSYS, .FAULT => error.Unsupported,
        .NOMEM => error.OutOfMemory,
        else => error.Refused,
    };
}
