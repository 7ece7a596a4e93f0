//! airlock-launch: runs tools for airlock-daemon. One process stays as long as the daemon and takes
//! its orders; for those at one time it makes a process each, which starts the tool and stays until the
//! tool and all that it started have ended. It decides nothing; the daemon says what to run, where, and when to stop.
//!
//! It does what the daemon itself could not: fork in no time, adopt descendants that leave their
//! session, and outlive a daemon that was killed by the moment that it takes to end them.

const std = @import("std");
const linux = std.os.linux;
const box = @import("box.zig");
const command = @import("command.zig");
const command_line = @import("command_line.zig");
const descendants = @import("descendants.zig");
const leftovers = @import("leftovers.zig");
const doors = @import("doors.zig");
const Preparation = @import("preparation.zig").Preparation;
const service = @import("service.zig");
const unboxed = @import("seccomp/unboxed.zig");

/// The status of wrong usage and of a fault in the launcher itself (EX_SOFTWARE of sysexits.h).
/// Everything else is told over the sockets, and the status is 0.
const status_fault = 70;

// No handler is ever installed: SIGPIPE and SIGSEGV keep their default disposition.
pub const std_options: std.Options = .{ .keep_sigpipe = true, .enable_segfault_handler = false };

/// A failed safety check ends the process, and with it its tool, in one line without a stack trace.
pub const panic = std.debug.FullPanic(fail);

pub fn main() u8 {
    const arguments = command_line.parse(std.os.argv) catch |fault| {
        complain(&.{ command_line.describe(fault), "; airlock-daemon runs it as ", command_line.usage });
        return status_fault;
    };
    var preparation = Preparation{};
    const socket = arguments.socket;
    var moved = box.Moved{};
    // While it may still write to its own files in /proc.
    if (arguments.box) |wanted| {
        // A port below 1024 takes a capability. Only the daemon holds them when the descriptors are closed.
        if (wanted.doors) |asked| if (doors.open(asked.socket, asked.addresses)) |errno|
            return cannotBegin("the network of the box cannot be opened", errno);
        if (box.finish(wanted.identity, wanted.home, wanted.pairs, &moved)) |errno|
            return cannotBegin("the box cannot be finished", errno);
    }
    if (preparation.complete(&.{ socket, descendants.lookedIn() orelse socket, leftovers.lookedIn() orelse socket })) |errno| return cannotBegin("its process cannot be set up", errno);
    if (arguments.box) |wanted| {
        command.runBoxed(socket, preparation.deaths, &wanted, &moved);
        return 0;
    }
    // Also on the boxes that it starts, whose own filters come on top.
    if (unboxed.confine()) |errno| return cannotBegin("the system calls of tools cannot be filtered", errno);
    service.run(socket, preparation.deaths) catch {
        complain(&.{"SERVICE_FD cannot be read; airlock-daemon passes a SOCK_SEQPACKET socket"});
        return status_fault;
    };
    return 0;
}

fn cannotBegin(problem: []const u8, errno: linux.E) u8 {
    var number: [5]u8 = undefined;
    const digits = std.fmt.bufPrint(&number, "{d}", .{@intFromEnum(errno)}) catch unreachable;
    complain(&.{
        problem,
        ": errno ",
        digits,
        "; see what forbids it, such as a seccomp filter or a limit of open files",
    });
    return status_fault;
}

fn fail(message: []const u8, address: ?usize) noreturn {
    _ = address;
    complain(&.{ "internal error: ", message, "; please report it" });
    linux.exit_group(status_fault);
}

fn complain(parts: []const []const u8) void {
    print("airlock: airlock-launch: ");
    for (parts) |part| print(part);
    print("\n");
}

fn print(text: []const u8) void {
    _ = linux.write(2, text.ptr, text.len);
}
