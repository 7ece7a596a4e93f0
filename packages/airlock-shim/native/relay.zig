//! Bytes on their way from one descriptor to another, as each of them is ready.

const std = @import("std");
const system = @import("system.zig");
const Channel = @import("channel.zig").Channel;
const linux = system.linux;

pub const Relay = struct {
    /// The end that is ours alone is closed when the relay ends.
    source: Channel,
    destination: Channel,
    buffer: []u8,
    start: usize = 0,
    end: usize = 0,
    is_open: bool = true,
    /// How many bytes may still be read; null for as many as there are.
    allowance: ?usize = null,
    /// Where in the head of an HTTP message the source is, which is not passed on.
    head: enum { line, end_of_line, passed } = .passed,

    pub const Step = union(enum) {
        /// There may be more to do when one of the descriptors is ready.
        done,
        /// Nothing will pass any more: the source ended, or the allowance is used up.
        ended,
        /// Nobody reads what is written.
        unread,
        failed: system.Errno,
    };

    /// What to wait for before the next step (poll(2)).
    pub fn interest(relay: *const Relay) linux.pollfd {
        return if (relay.start < relay.end)
            .{ .fd = relay.destination.fd, .events = linux.POLL.OUT, .revents = 0 }
        else
            .{ .fd = relay.source.fd, .events = linux.POLL.IN, .revents = 0 };
    }

    /// Passes on one buffer, or as much of it as finds room.
    pub fn step(relay: *Relay) Step {
        if (relay.start == relay.end) {
            const wanted = @min(relay.buffer.len, relay.allowance orelse relay.buffer.len);
            if (wanted == 0) return .ended;
            const result = relay.source.read(relay.buffer[0..wanted]);
            if (result.errno == .AGAIN) return .done;
            // What cannot be read (a directory, a connection that was reset) is at its end.
            if (!result.ok() or result.value == 0) return .ended;
            relay.start = 0;
            relay.end = result.value;
            if (relay.allowance) |*allowance| allowance.* -= result.value;
            while (relay.head != .passed and relay.start < relay.end) : (relay.start += 1) {
                relay.head = switch (relay.buffer[relay.start]) {
                    '\n' => if (relay.head == .line) .end_of_line else .passed,
                    '\r' => relay.head,
                    else => .line,
                };
            }
            if (relay.start == relay.end) return .done;
        }
        const result = relay.destination.write(relay.buffer[relay.start..relay.end]);
        switch (result.errno) {
            .SUCCESS => relay.start += result.value,
            .AGAIN => {},
            .PIPE, .CONNRESET => return .unread,
            else => |errno| return .{ .failed = errno },
        }
        const is_finished = relay.start == relay.end and relay.allowance == 0;
        return if (is_finished) .ended else .done;
    }

    /// From now on only what is in the source at this moment is passed on: a process that was
    /// left behind may go on writing to it for ever. Answers whether there is anything.
    pub fn limitToPresent(relay: *Relay) bool {
        const present = system.bytesReadable(relay.source.fd);
        relay.allowance = present;
        return present > 0 or relay.start < relay.end;
    }
};

test "bytes pass until the source ends, and no more than are allowed" {
    const first = try std.posix.pipe();
    const second = try std.posix.pipe();
    defer for ([_]i32{ first[0], second[0], second[1] }) |fd| system.close(fd);
    var buffer: [4]u8 = undefined;
    var relay: Relay = .{
        .source = .{ .fd = first[0], .kind = .pipe },
        .destination = .{ .fd = second[1], .kind = .pipe },
        .buffer = &buffer,
    };
    try std.testing.expectEqual(.done, relay.step());
    _ = system.write(first[1], "abcdef");
    try std.testing.expectEqual(.done, relay.step());
    try std.testing.expect(relay.limitToPresent());
    _ = system.write(first[1], "ghi");
    try std.testing.expectEqual(.ended, relay.step());
    var passed: [16]u8 = undefined;
    try std.testing.expectEqualStrings("abcdef", passed[0..system.read(second[0], &passed).value]);
    try std.testing.expect(relay.limitToPresent());
    try std.testing.expectEqual(.ended, relay.step());
    try std.testing.expect(!relay.limitToPresent());
    relay.allowance = null;
    system.close(first[1]);
    try std.testing.expectEqual(.ended, relay.step());
}
