//! Asking from within a box on the host, where nothing leads to a socket of the daemon's: its command
//! inherits one end of a pair, the relay, over which the daemon gives a connection to whoever asks.

const std = @import("std");
const system = @import("system.zig");
const socket_module = @import("socket.zig");
const linux = system.linux;
const Outcome = @import("endpoint.zig").Outcome;
const Path = @import("socket_path.zig").Path;

/// The variable with the number of the descriptor.
pub const variable = "AIRLOCK_RELAY";

/// What asks for one: a message must not be empty.
const word = "c";

/// What messages call it by.
const path = Path.join(&.{variable}).?;

/// Asks for a connection over the relay that `text` names. Others of the box may wait there for one of
/// theirs: each takes any.
pub fn connect(text: []const u8) Outcome {
    const relay = std.fmt.parseInt(u31, text, 10) catch return .{ .without_relay = .BADF };
    const kind = socket_module.option(relay, linux.SO.TYPE);
    if (!kind.ok()) return .{ .without_relay = kind.errno };
    if (kind.value != linux.SOCK.SEQPACKET) return .{ .without_relay = .NOTSOCK };
    while (true) {
        const asked = ask(relay);
        if (asked != .SUCCESS) return .{ .without_relay = asked };
        const given = take(relay);
        if (!given.ok()) return .{ .without_relay = given.errno };
        const end = given.descriptor();
        // Nothing comes before a request. It was given to a process that ended before it could take it, and
        // its time is over.
        if (!system.isReady(end, linux.POLL.IN)) return .{ .connected = .{ .fd = end, .path = path } };
        system.close(end);
    }
}

/// The daemon hears so many at a time, and the others wait here.
fn ask(relay: i32) system.Errno {
    while (true) {
        const result = socket_module.send(relay, word);
        switch (result.errno) {
            .AGAIN => system.wait(relay, linux.POLL.OUT),
            .INTR => {},
            else => return result.errno,
        }
    }
}

fn take(relay: i32) system.Result {
    while (true) {
        const result = socket_module.receiveDescriptor(relay);
        switch (result.errno) {
            .AGAIN => system.wait(relay, linux.POLL.IN),
            .INTR => {},
            else => return result,
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

test "a connection comes over the relay, and what is stale is passed over" {
    var relay: [2]i32 = undefined;
    if (linux.socketpair(linux.AF.UNIX, linux.SOCK.SEQPACKET, 0, &relay) != 0) return error.SkipZigTest;
    defer for (relay) |fd| system.close(fd);
    var stale: [2]i32 = undefined;
    var fresh: [2]i32 = undefined;
    for ([_]*[2]i32{ &stale, &fresh }) |pair| {
        if (linux.socketpair(linux.AF.UNIX, linux.SOCK.STREAM, 0, pair) != 0) return error.SkipZigTest;
        try std.testing.expect(socket_module.sendWithDescriptors(relay[0], word, [1]i32{pair[1]}).ok());
        system.close(pair[1]);
    }
    system.close(stale[0]);
    defer system.close(fresh[0]);
    var buffer: [16]u8 = undefined;
    const outcome = connect(try std.fmt.bufPrint(&buffer, "{d}", .{relay[1]}));
    defer system.close(outcome.connected.fd);
    try std.testing.expect(socket_module.send(fresh[0], "x").ok());
    try std.testing.expectEqual(1, socket_module.receive(outcome.connected.fd, &buffer).value);
    for (0..2) |_| {
        try std.testing.expectEqual(1, socket_module.receive(relay[0], &buffer).value);
        try std.testing.expectEqualStrings(word, buffer[0..1]);
    }
}

test "a relay that is over, or gives nothing, gives no connection" {
    for ([_]bool{ false, true }) |says_something| {
        var relay: [2]i32 = undefined;
        if (linux.socketpair(linux.AF.UNIX, linux.SOCK.SEQPACKET, 0, &relay) != 0) return error.SkipZigTest;
        defer system.close(relay[1]);
        if (says_something) try std.testing.expect(socket_module.send(relay[0], "x").ok());
        _ = linux.shutdown(relay[0], linux.SHUT.WR);
        defer system.close(relay[0]);
        var buffer: [16]u8 = undefined;
        const text = try std.fmt.bufPrint(&buffer, "{d}", .{relay[1]});
        try std.testing.expectEqual(.PIPE, connect(text).without_relay);
    }
}
