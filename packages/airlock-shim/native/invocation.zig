//! How the shim was called, and how the daemon is told.

const std = @import("std");
const system = @import("system.zig");
const socket_module = @import("socket.zig");
const stdio = @import("stdio.zig");
const terminal = @import("terminal.zig");
const container = @import("container.zig");
const request_module = @import("request.zig");
const Request = request_module.Request;
const Signals = @import("signals.zig").Signals;

pub const Invocation = struct {
    command: []const u8,
    /// The argument that its name stands for, before all others.
    first: ?[:0]const u8 = null,
    args: []const [*:0]const u8,
    environment: []const [*:0]const u8,
    stdio: [3]stdio.Descriptor,

    /// The value of an environment variable.
    pub fn variable(invocation: *const Invocation, name: []const u8) ?[]const u8 {
        return find(invocation.environment, name);
    }

    fn tty(invocation: *const Invocation) ?request_module.Tty {
        const streams = &invocation.stdio;
        const size = terminal.size(stdio.firstTerminal(streams) orelse return null);
        const term = invocation.variable("TERM") orelse "";
        return .{
            // In the background keys are not for it, and the modes are another program's.
            .stdin = streams[0].kind == .terminal and terminal.isForeground(streams[0].fd),
            .stdout = streams[1].kind == .terminal,
            .stderr = streams[2].kind == .terminal,
            .rows = size.rows,
            .columns = size.columns,
            .term = if (request_module.isTerminalName(term)) term else null,
        };
    }

    /// Sends the request, and `descriptors` with it. When the daemon takes no more of it, it has
    /// most likely answered already (a request over its limit), so whatever it says is to be read
    /// all the same.
    ///
    /// Signals are held when the daemon has the whole of it, and until then only between two
    /// waits: one that comes while it is sent ends the shim, and with it the request.
    pub fn send(
        invocation: *const Invocation,
        fd: i32,
        descriptors: ?[3]i32,
        buffer: []u8,
    ) Signals {
        var directory: [std.fs.max_path_bytes]u8 = undefined;
        const id = container.find();
        const request: Request = .{
            .command = invocation.command,
            .first = invocation.first,
            .args = invocation.args,
            .cwd = system.workingDirectory(&directory),
            .container_id = if (id) |*known| known else null,
            .tty = invocation.tty(),
            .environment = invocation.environment,
        };
        const signals = Signals.hold();
        var sending: Sending = .{
            .fd = fd,
            .descriptors = descriptors,
            .signals = &signals,
            .writer = .{ .buffer = buffer, .vtable = &.{ .drain = Sending.drain } },
        };
        request.encode(&sending.writer) catch return signals;
        sending.writer.flush() catch return signals;
        return signals;
    }
};

/// The value of a variable of an environment, as environ(7) has it.
pub noinline fn find(environment: []const [*:0]const u8, name: []const u8) ?[]const u8 {
    for (environment) |pointer| {
        const entry = std.mem.span(pointer);
        if (entry.len <= name.len or entry[name.len] != '=') continue;
        if (std.mem.startsWith(u8, entry, name)) return entry[name.len + 1 ..];
    }
    return null;
}

/// The sending side of the socket.
const Sending = struct {
    fd: i32,
    /// Those that still have to go along.
    descriptors: ?[3]i32,
    signals: *const Signals,
    writer: std.Io.Writer,

    fn drain(
        writer: *std.Io.Writer,
        data: []const []const u8,
        splat: usize,
    ) std.Io.Writer.Error!usize {
        const sending: *Sending = @fieldParentPtr("writer", writer);
        try sending.deliver(writer.buffered());
        writer.end = 0;
        var count: usize = 0;
        for (data[0 .. data.len - 1]) |bytes| {
            try sending.deliver(bytes);
            count += bytes.len;
        }
        const last = data[data.len - 1];
        for (0..splat) |_| try sending.deliver(last);
        return count + last.len * splat;
    }

    fn deliver(sending: *Sending, bytes: []const u8) std.Io.Writer.Error!void {
        var rest = bytes;
        while (rest.len > 0) {
            const result = sending.sendSome(rest);
            switch (result.errno) {
                .SUCCESS => rest = rest[result.value..],
                .INTR => {},
                .AGAIN => system.waitForRoom(sending.fd, &sending.signals.inherited),
                else => return error.WriteFailed,
            }
        }
    }

    fn sendSome(sending: *Sending, bytes: []const u8) system.Result {
        const descriptors = sending.descriptors orelse return socket_module.send(sending.fd, bytes);
        const result = socket_module.sendWithDescriptors(sending.fd, bytes, descriptors);
        switch (result.errno) {
            .INTR, .AGAIN => return result,
            // Where descriptors cannot be sent (too many are on their way already), the command
            // still can.
            else => sending.descriptors = null,
        }
        return if (result.ok()) result else socket_module.send(sending.fd, bytes);
    }
};

test "a variable is found by its whole name" {
    const invocation: Invocation = .{
        .command = "git",
        .args = &.{},
        .environment = &.{ "TERMINAL=x", "TERM", "TERM=a=b", "TERM=c", "EMPTY=" },
        .stdio = undefined,
    };
    try std.testing.expectEqualStrings("a=b", invocation.variable("TERM").?);
    try std.testing.expectEqualStrings("", invocation.variable("EMPTY").?);
    try std.testing.expectEqual(null, invocation.variable("TERMIN"));
}
