//! airlock-launch: starts one tool for airlock-daemon and stays until the tool and all that it
//! started have ended. It decides nothing; the daemon tells it what to run, where, and when to stop.
//!
//! It does what the daemon itself could not: adopt descendants that leave their session, and outlive
//! a daemon that was killed by the moment that it takes to end them.

const std = @import("std");
const linux = std.os.linux;
const command_line = @import("command_line.zig");
const control = @import("control.zig");
const Preparation = @import("preparation.zig").Preparation;
const Supervisor = @import("supervisor.zig").Supervisor;
const tool = @import("tool.zig");

/// The status of wrong usage and of a fault in the launcher itself (EX_SOFTWARE of sysexits.h).
/// Everything else is told over the control socket, and the status is 0.
const status_fault = 70;

// No handler is ever installed: SIGPIPE and SIGSEGV keep their default disposition.
pub const std_options: std.Options = .{ .keep_sigpipe = true, .enable_segfault_handler = false };

/// A failed safety check ends the launcher, and with it the tool, in one line without a stack trace.
pub const panic = std.debug.FullPanic(fail);

pub fn main() u8 {
    const command = command_line.parse(std.os.argv) catch |fault| {
        complain(&.{ command_line.describe(fault), "; airlock-daemon runs it as ", command_line.usage });
        return status_fault;
    };
    var preparation = Preparation{};
    if (preparation.complete()) |errno| {
        control.send(command.control, .setup_failed, @intFromEnum(errno));
        return 0;
    }
    const environment: command_line.Vector = @ptrCast(std.os.environ.ptr);
    const pid = tool.start(&command, environment, preparation.failure) orelse {
        control.send(command.control, preparation.failure.report.?, preparation.failure.errno);
        return 0;
    };
    // From here on the tool alone holds its pipes, so that whoever reads them sees its end.
    for ([_]i32{ 0, 1, 2, command.directory }) |descriptor| _ = linux.close(descriptor);
    var supervisor = Supervisor{
        .socket = command.control,
        .deaths = preparation.deaths,
        .tool = pid,
        .failure = preparation.failure,
    };
    supervisor.run();
    return 0;
}

fn fail(message: []const u8, address: ?usize) noreturn {
    _ = address;
    complain(&.{ "internal error: ", message });
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

test {
    _ = command_line;
    _ = control;
    _ = @import("children.zig");
}
