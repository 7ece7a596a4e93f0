//! What the tool wrote, on its way to our own stdout and stderr.
//!
//! It is gathered in one buffer of fixed size and written when that is full, when the other
//! stream comes up (so that the order stays that of the daemon), and before anything is waited
//! for (so that nothing that arrived is held back).

const std = @import("std");
const json_string = @import("json_string.zig");
const system = @import("system.zig");
const diagnostics = @import("diagnostics.zig");
const exit_status = @import("exit_status.zig");

pub const Stream = enum(i32) {
    stdout = 1,
    stderr = 2,

    /// The stream that the protocol calls so.
    pub fn named(name: []const u8) ?Stream {
        return std.meta.stringToEnum(Stream, name);
    }
};

pub const Output = struct {
    buffer: []u8,
    length: usize = 0,
    stream: Stream = .stdout,

    /// Where what is committed from now on goes.
    pub fn select(output: *Output, stream: Stream) void {
        if (output.stream == stream) return;
        output.flush();
        output.stream = stream;
    }

    /// Room for at least `json_string.minimum_room` bytes, until the next `commit` or `flush`.
    pub fn window(output: *Output) []u8 {
        if (output.buffer.len - output.length < json_string.minimum_room) output.flush();
        return output.buffer[output.length..];
    }

    /// Keeps the first `count` bytes of the window.
    pub fn commit(output: *Output, count: usize) void {
        output.length += count;
    }

    pub fn write(output: *Output, bytes: []const u8) void {
        output.flush();
        deliver(output.stream, bytes);
    }

    pub fn flush(output: *Output) void {
        if (output.length == 0) return;
        deliver(output.stream, output.buffer[0..output.length]);
        output.length = 0;
    }
};

/// Writes, or ends the shim as a tool ends that cannot write: a reader that went away is no
/// fault, so nothing is said. Ending closes the connection, and that ends the command.
fn deliver(stream: Stream, bytes: []const u8) void {
    const errno = system.writeAll(@intFromEnum(stream), bytes);
    switch (errno) {
        .SUCCESS => {},
        .PIPE => system.dieOfBrokenPipe(),
        else => {
            diagnostics.report(&.{
                .{ .plain = "cannot write the command's output to " },
                .{ .plain = @tagName(stream) },
                .{ .plain = ": " },
                .{ .plain = system.describe(errno) },
            });
            system.linux.exit_group(exit_status.daemon_failed);
        },
    }
}
