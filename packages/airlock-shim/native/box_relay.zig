//! Asking from within a box on the host, where nothing leads to a socket of the daemon's: its command
//! inherits one end of a pair, the relay, and the daemon takes connections from the other.

const std = @import("std");
const system = @import("system.zig");
const socket_module = @import("socket.zig");
const linux = system.linux;
const Outcome = @import("endpoint.zig").Outcome;
const Path = @import("socket_path.zig").Path;

/// The variable with the number of the descriptor.
pub const variable = "AIRLOCK_RELAY";

/// What goes with the descriptor: a message must not be empty.
const word = "c";

/// What messages call it by.
const path = Path.join(&.{variable}).?;

/// Makes a connection, of which the daemon gets the other end over the relay that `text` names.
pub fn connect(text: []const u8) Outcome {
    const relay = std.fmt.parseInt(u31, text, 10) catch return .{ .without_relay = .BADF };
    const kind = socket_module.option(relay, linux.SO.TYPE);
    if (!kind.ok()) return .{ .without_relay = kind.errno };
    if (kind.value != linux.SOCK.SEQPACKET) return .{ .without_relay = .NOTSOCK };
    var ends: [2]i32 = undefined;
    const flags = linux.SOCK.STREAM | linux.SOCK.CLOEXEC;
    const made = system.resultOf(linux.socketpair(linux.AF.UNIX, flags, 0, &ends));
    if (!made.ok()) return .{ .without_relay = made.errno };
    const sent = hand(relay, ends[1]);
    system.close(ends[1]);
    if (sent == .SUCCESS) return .{ .connected = .{ .fd = ends[0], .path = path } };
    system.close(ends[0]);
    return .{ .without_relay = sent };
}

/// The daemon takes so many at a time, and the others wait here.
fn hand(relay: i32, end: i32) system.Errno {
    while (true) {
        const result = socket_module.sendWithDescriptors(relay, word, [1]i32{end});
        switch (result.errno) {
            .AGAIN => system.wait(relay, linux.POLL.OUT),
            .INTR => {},
            else => return result.errno,
        }
    }
}

test "what is no relay is told by its errno" {
    var ends: [2]i32 = undefined;
    if (linux.socketpair(linux.AF.UNIX, linux.SOCK.STREAM, 0, &ends) != 0) return error.SkipZigTest;
    defer for (ends) |fd| system.close(fd);
    var buffer: [16]u8 = undefined;
    const stream = try std.fmt.bufPrint(&buffer, "{d}", .{ends[0]});
    try std.testing.expectEqual(.NOTSOCK, connect(stream).without_relay);
    for ([_][]const u8{ "", "-1", "x", "3 ", "999999", "99999999999" }) |text| {
        try std.testing.expectEqual(.BADF, connect(text).without_relay);
    }
}

test "the other end of a connection comes over the relay" {
    var relay: [2]i32 = undefined;
    if (linux.socketpair(linux.AF.UNIX, linux.SOCK.SEQPACKET, 0, &relay) != 0) return error.SkipZigTest;
    defer for (relay) |fd| system.close(fd);
    var buffer: [16]u8 = undefined;
    const outcome = connect(try std.fmt.bufPrint(&buffer, "{d}", .{relay[1]}));
    defer system.close(outcome.connected.fd);
    try std.testing.expectEqual(1, socket_module.receive(relay[0], &buffer).value);
    try std.testing.expectEqualStrings(word, buffer[0..1]);
}
