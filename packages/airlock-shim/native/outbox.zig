//! Messages on their way to the daemon while the command runs. A daemon that reads slowly keeps
//! them waiting here, and nothing else.

const std = @import("std");
const system = @import("system.zig");
const socket_module = @import("socket.zig");

pub const Outbox = struct {
    fd: i32,
    buffer: []u8,
    start: usize = 0,
    end: usize = 0,

    pub fn isEmpty(outbox: *const Outbox) bool {
        return outbox.start == outbox.end;
    }

    /// Adds a message, with its newline, and sends what the socket takes. It is dropped where
    /// there is no room: then the daemon has not read for a long time.
    pub fn put(outbox: *Outbox, comptime format: []const u8, values: anytype) void {
        const kept = outbox.end;
        var writer = std.Io.Writer.fixed(outbox.buffer[outbox.end..]);
        writer.print(format ++ "\n", values) catch {
            outbox.end = kept;
            return;
        };
        outbox.end += writer.end;
        outbox.send();
    }

    /// Sends what the socket takes. A connection that was lost takes everything: reading from it
    /// says so.
    pub fn send(outbox: *Outbox) void {
        while (!outbox.isEmpty()) {
            const result = socket_module.send(outbox.fd, outbox.buffer[outbox.start..outbox.end]);
            switch (result.errno) {
                .SUCCESS => outbox.start += result.value,
                .AGAIN => return,
                else => outbox.start = outbox.end,
            }
        }
        outbox.start = 0;
        outbox.end = 0;
    }
};

test "messages wait for room, and come out whole and in order" {
    var ends: [2]i32 = undefined;
    if (system.linux.socketpair(1, 1, 0, &ends) != 0) return error.SkipZigTest;
    defer system.close(ends[0]);
    var buffer: [1 << 20]u8 = undefined;
    var outbox: Outbox = .{ .fd = ends[1], .buffer = &buffer };
    const filler = "x" ** 1000;
    var count: usize = 0;
    while (outbox.isEmpty()) : (count += 1) outbox.put("{s}", .{filler});
    outbox.put("{d}", .{42});
    var received: usize = 0;
    var last: [3]u8 = undefined;
    while (received < count * 1001 + 3) {
        var piece: [4096]u8 = undefined;
        const length = system.read(ends[0], &piece).value;
        for (piece[0..length]) |byte| {
            last = .{ last[1], last[2], byte };
        }
        received += length;
        outbox.send();
    }
    try std.testing.expectEqualStrings("42\n", &last);
    try std.testing.expect(outbox.isEmpty());
    system.close(ends[1]);
}
