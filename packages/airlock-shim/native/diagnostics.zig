//! What the shim itself says, on stderr.
//!
//! Every line starts with `airlock: `, so that a person or an agent can tell it from what the
//! tool says. Text from elsewhere (the daemon, the environment, file names) is shown with
//! everything escaped that could drive a terminal or deceive a reader: control characters,
//! bidirectional and zero-width ones, and bytes that are not UTF-8.

const std = @import("std");
const system = @import("system.zig");
const signals = @import("signals.zig");

const prefix = "airlock: ";

/// One part of a message.
pub const Part = union(enum) {
    /// Our own words.
    plain: []const u8,
    /// Text from elsewhere; each further line of it gets the prefix again.
    shown: []const u8,
};

/// Writes one message to stderr. That it fails cannot be told.
pub fn report(parts: []const Part) void {
    // Neither this nor the next is inlined where it is called, so that the program is small.
    @branchHint(.cold);
    signals.holdBrokenPipe();
    var buffer: [2048]u8 = undefined;
    var writer: std.Io.Writer = .{ .buffer = &buffer, .vtable = &.{ .drain = drainToStderr } };
    format(&writer, parts) catch return;
    writer.flush() catch return;
}

/// Writes what to do about the message before it.
pub noinline fn advise(advice: Part) void {
    @branchHint(.cold);
    report(&.{ .{ .plain = "hint: " }, advice });
}

/// Writes to `writer` what `report` shows.
pub fn format(writer: *std.Io.Writer, parts: []const Part) std.Io.Writer.Error!void {
    try writer.writeAll(prefix);
    for (parts) |part| switch (part) {
        .plain => |text| try writer.writeAll(text),
        .shown => |text| try escape(writer, text),
    };
    try writer.writeByte('\n');
}

fn drainToStderr(
    writer: *std.Io.Writer,
    data: []const []const u8,
    splat: usize,
) std.Io.Writer.Error!usize {
    if (system.writeAll(2, writer.buffered()) != .SUCCESS) return error.WriteFailed;
    writer.end = 0;
    var written: usize = 0;
    for (data, 1..) |bytes, nth| {
        for (0..if (nth == data.len) splat else 1) |_| {
            if (system.writeAll(2, bytes) != .SUCCESS) return error.WriteFailed;
            written += bytes.len;
        }
    }
    return written;
}

fn escape(writer: *std.Io.Writer, text: []const u8) std.Io.Writer.Error!void {
    const trimmed = std.mem.trimRight(u8, text, "\r\n");
    var at: usize = 0;
    while (at < trimmed.len) {
        const length = std.unicode.utf8ByteSequenceLength(trimmed[at]) catch 1;
        const character = trimmed[at..@min(at + length, trimmed.len)];
        if (std.unicode.utf8ValidateSlice(character)) {
            const codepoint = std.unicode.utf8Decode(character) catch unreachable;
            try escapeCharacter(writer, codepoint, character);
            at += character.len;
        } else {
            try writer.print("\\x{x:0>2}", .{trimmed[at]});
            at += 1;
        }
    }
}

fn escapeCharacter(
    writer: *std.Io.Writer,
    codepoint: u21,
    encoded: []const u8,
) std.Io.Writer.Error!void {
    switch (codepoint) {
        '\n' => try writer.writeAll("\n" ++ prefix),
        '\t' => try writer.writeByte('\t'),
        0x00...0x08, 0x0b...0x1f, 0x7f => try writer.print("\\x{x:0>2}", .{codepoint}),
        // C1 controls, and characters that are invisible or turn the direction of writing.
        0x80...0x9f,
        0xad,
        0x61c,
        0x180e,
        0x200b...0x200f,
        0x2028...0x202e,
        0x2060...0x206f,
        0xfeff,
        0xfff9...0xfffb,
        0xe0000...0xe007f,
        => try writer.print("\\u{{{x}}}", .{codepoint}),
        else => try writer.writeAll(encoded),
    }
}

fn formatted(buffer: []u8, text: []const u8) ![]const u8 {
    var writer = std.Io.Writer.fixed(buffer);
    try format(&writer, &.{ .{ .plain = "said: " }, .{ .shown = text } });
    return writer.buffered();
}

test "ordinary text, also beyond ASCII, is shown as it is" {
    var buffer: [200]u8 = undefined;
    try std.testing.expectEqualStrings(
        "airlock: said: zażółć 👍 \"q\"\n",
        try formatted(&buffer, "zażółć 👍 \"q\""),
    );
}

test "what could drive a terminal is escaped" {
    var buffer: [200]u8 = undefined;
    try std.testing.expectEqualStrings(
        "airlock: said: \\x1b[2J\\x00\\x0d\\x7f\\u{9b}\\u{202e}\\u{200b}!\n",
        try formatted(&buffer, "\x1b[2J\x00\r\x7f\u{9b}\u{202e}\u{200b}!"),
    );
}

test "bytes that are not UTF-8 are escaped one by one" {
    var buffer: [200]u8 = undefined;
    try std.testing.expectEqualStrings(
        "airlock: said: \\xff\\xc3(\\xe2\\x82\n",
        try formatted(&buffer, "\xff\xc3(\xe2\x82"),
    );
}

test "each line of a message carries the prefix, and line ends at its end are dropped" {
    var buffer: [200]u8 = undefined;
    try std.testing.expectEqualStrings(
        "airlock: said: one\nairlock: two\n",
        try formatted(&buffer, "one\ntwo\r\n\n"),
    );
}
