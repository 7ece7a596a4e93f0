//! The shim's stdin on its way to the daemon in `stdin` messages, never more of it than the
//! daemon has given credit for.

const std = @import("std");
const base64 = @import("base64.zig");
const system = @import("system.zig");
const terminal = @import("terminal.zig");
const Channel = @import("channel.zig").Channel;
const Outbox = @import("outbox.zig").Outbox;

/// The most that goes into one message, in bytes before they are encoded.
const piece = 32 * 1024;

pub const StdinStream = struct {
    channel: Channel,
    /// Bytes that may still be sent.
    credit: u64 = 0,
    sent: u64 = 0,
    is_open: bool = false,
    /// A terminal is not read in the background: that would stop the shim, though the tool may
    /// not read at all.
    is_in_background: bool = false,

    /// Begins, with the credit that `start` gave.
    pub fn open(stream: *StdinStream, credit: u64) void {
        stream.is_open = true;
        stream.credit = credit;
    }

    pub fn grant(stream: *StdinStream, credit: u64) void {
        stream.credit +|= credit;
    }

    /// Whether there is any use in waiting for stdin.
    pub fn isWanted(stream: *const StdinStream, outbox: *const Outbox) bool {
        return stream.is_open and stream.credit > 0 and !stream.is_in_background and
            outbox.isEmpty();
    }

    /// Sends what is there, once poll(2) says that something is. The end, and whatever cannot be
    /// read, is the end of the tool's stdin.
    pub fn pump(stream: *StdinStream, outbox: *Outbox) void {
        if (stream.channel.kind == .terminal and !terminal.isForeground(stream.channel.fd)) {
            stream.is_in_background = true;
            return;
        }
        var bytes: [piece]u8 = undefined;
        const result = stream.channel.read(bytes[0..@intCast(@min(piece, stream.credit))]);
        if (result.errno == .AGAIN) return;
        if (!result.ok() or result.value == 0) {
            stream.is_open = false;
            return outbox.put("{{\"jsonrpc\":\"2.0\",\"method\":\"stdin\",\"params\":" ++
                "{{\"eof\":true}}}}", .{});
        }
        stream.credit -= result.value;
        stream.sent += result.value;
        outbox.put(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"stdin\",\"params\":" ++
                "{{\"data\":\"{f}\",\"encoding\":\"base64\"}}}}",
            .{base64.Encoded{ .bytes = bytes[0..result.value] }},
        );
    }

    /// Sets the position of a file back, when of all that was sent the tool took only `taken`.
    pub fn restorePosition(stream: *StdinStream, taken: u64) void {
        if (stream.channel.kind != .file or taken >= stream.sent) return;
        system.seekBack(stream.channel.fd, stream.sent - taken);
    }
};

test "stdin goes out within its credit, and its end once" {
    const input = try std.posix.pipe();
    defer system.close(input[0]);
    var ends: [2]i32 = undefined;
    if (system.linux.socketpair(1, 1, 0, &ends) != 0) return error.SkipZigTest;
    defer for (ends) |fd| system.close(fd);
    var buffer: [1024]u8 = undefined;
    var outbox: Outbox = .{ .fd = ends[1], .buffer = &buffer };
    var stream: StdinStream = .{ .channel = .{ .fd = input[0], .kind = .pipe } };
    try std.testing.expect(!stream.isWanted(&outbox));
    stream.open(3);
    stream.pump(&outbox);
    _ = system.write(input[1], "abcd");
    stream.pump(&outbox);
    try std.testing.expect(!stream.isWanted(&outbox));
    stream.grant(5);
    stream.pump(&outbox);
    system.close(input[1]);
    stream.pump(&outbox);
    try std.testing.expect(!stream.isWanted(&outbox));
    var received: [1024]u8 = undefined;
    try std.testing.expectEqualStrings(
        \\{"jsonrpc":"2.0","method":"stdin","params":{"data":"YWJj","encoding":"base64"}}
        \\{"jsonrpc":"2.0","method":"stdin","params":{"data":"ZA==","encoding":"base64"}}
        \\{"jsonrpc":"2.0","method":"stdin","params":{"eof":true}}
        \\
    , received[0..system.read(ends[0], &received).value]);
}
