//! `airlock-shim --connect PORT`: a connection to a port of this container's loopback, as standard input
//! and output. An engine executes it for the daemon where that cannot reach the container's address. A
//! line `connected` comes first: an engine that cannot execute it says so on standard output.

const std = @import("std");
const system = @import("system.zig");
const socket_module = @import("socket.zig");
const error_number = @import("error_number.zig");
const diagnostics = @import("diagnostics.zig");
const linux = system.linux;

const retry_ms = 50;
const most_tries = 40;

/// Both processes have their own.
var buffer: [64 * 1024]u8 = undefined;

/// Carries bytes until the other end closes; false where it cannot be reached, which is reported.
pub fn run(port: u16) bool {
    var connected = socket_module.connectLoopback(port);
    // What has just started may not listen yet.
    for (0..most_tries) |_| {
        if (connected.errno != .CONNREFUSED) break;
        system.pause(retry_ms);
        connected = socket_module.connectLoopback(port);
    }
    if (!connected.ok()) {
        diagnostics.report(&.{
            .{ .plain = "nothing can be reached at this port: " },
            .{ .plain = error_number.describe(connected.errno) },
        });
        diagnostics.advise(.{ .plain = "see whether a program of this container listens there" });
        return false;
    }
    const fd = connected.descriptor();
    _ = system.writeAll(1, "connected\n");
    const child = system.resultOf(linux.fork());
    if (child.ok() and child.value == 0) {
        copy(0, fd);
        _ = linux.shutdown(fd, linux.SHUT.WR);
        linux.exit_group(0);
    }
    copy(fd, 1);
    if (child.ok()) _ = linux.kill(@intCast(child.value), linux.SIG.KILL);
    return true;
}

fn copy(from: i32, to: i32) void {
    while (true) {
        const result = system.read(from, &buffer);
        if (!result.ok() or result.value == 0) return;
        if (system.writeAll(to, buffer[0..result.value]) != .SUCCESS) return;
    }
}
