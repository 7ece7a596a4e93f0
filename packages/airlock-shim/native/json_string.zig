//! Decodes the inside of a JSON string (RFC 8259 section 7), any number of bytes at a time.
//!
//! Nearly all that the shim does with much output happens here, so ordinary text is copied and
//! searched for quotes, backslashes and control characters sixteen bytes at once.

const std = @import("std");

/// The room that `step` needs to make progress whatever comes next.
pub const minimum_room = 16;

pub const Step = struct {
    /// Bytes of the input that were dealt with.
    consumed: usize,
    /// Bytes that were decoded.
    produced: usize,
    /// Whether the closing quote was reached (and consumed).
    ended: bool,
};

pub const Error = error{
    /// A control character, or an escape that does not exist.
    Malformed,
};

pub const Decoder = struct {
    /// The first half of a surrogate pair, when it was the last thing decoded; zero otherwise.
    high_surrogate: u16 = 0,

    /// Decodes from `in` to `out` until the string ends or either is used up. An escape that is
    /// cut off at the end of `in` is left there: when nothing was consumed, more input is needed.
    ///
    /// Bytes are passed on as they are, UTF-8 or not. Half a surrogate pair becomes U+FFFD.
    pub fn step(decoder: *Decoder, in: []const u8, out: []u8) Error!Step {
        var consumed: usize = 0;
        var produced: usize = 0;
        while (out.len - produced >= minimum_room) {
            if (decoder.high_surrogate == 0) {
                const copied = copyOrdinary(in[consumed..], out[produced..]);
                consumed += copied;
                produced += copied;
                if (out.len - produced < minimum_room) break;
            }
            if (consumed == in.len) break;
            const escape = try Escape.read(in[consumed..]) orelse break;
            switch (escape) {
                .low => |low| if (decoder.high_surrogate != 0) {
                    const high: u21 = decoder.high_surrogate - 0xd800;
                    produced += encode(0x10000 + (high << 10 | (low - 0xdc00)), out[produced..]);
                    decoder.high_surrogate = 0;
                    consumed += 6;
                    continue;
                },
                else => {},
            }
            if (decoder.high_surrogate != 0) {
                produced += encode(std.unicode.replacement_character, out[produced..]);
                decoder.high_surrogate = 0;
                continue;
            }
            switch (escape) {
                .none => {},
                .end => return .{ .consumed = consumed + 1, .produced = produced, .ended = true },
                .byte => |byte| {
                    out[produced] = byte;
                    produced += 1;
                    consumed += 2;
                },
                .codepoint => |codepoint| {
                    produced += encode(codepoint, out[produced..]);
                    consumed += 6;
                },
                .high => |high| {
                    decoder.high_surrogate = high;
                    consumed += 6;
                },
                .low => {
                    produced += encode(std.unicode.replacement_character, out[produced..]);
                    consumed += 6;
                },
            }
        }
        return .{ .consumed = consumed, .produced = produced, .ended = false };
    }
};

/// What stands where ordinary text stops.
const Escape = union(enum) {
    /// Ordinary text.
    none,
    /// The closing quote.
    end,
    /// A two-character escape.
    byte: u8,
    /// `\uXXXX` of a character, and of either half of a surrogate pair.
    codepoint: u16,
    high: u16,
    low: u16,

    /// Null when `in`, which is not empty, ends within the escape.
    fn read(in: []const u8) Error!?Escape {
        switch (in[0]) {
            '"' => return .end,
            '\\' => {},
            0x00...0x1f => return error.Malformed,
            else => return .none,
        }
        if (in.len < 2) return null;
        switch (in[1]) {
            '"', '\\', '/' => |same| return .{ .byte = same },
            'n' => return .{ .byte = '\n' },
            't' => return .{ .byte = '\t' },
            'r' => return .{ .byte = '\r' },
            'b' => return .{ .byte = 0x08 },
            'f' => return .{ .byte = 0x0c },
            'u' => {},
            else => return error.Malformed,
        }
        if (in.len < 6) return null;
        var unit: u16 = 0;
        for (in[2..6]) |digit| {
            unit = unit << 4 | (std.fmt.charToDigit(digit, 16) catch return error.Malformed);
        }
        return switch (unit) {
            0xd800...0xdbff => .{ .high = unit },
            0xdc00...0xdfff => .{ .low = unit },
            else => .{ .codepoint = unit },
        };
    }
};

fn encode(codepoint: u21, out: []u8) usize {
    // Surrogates do not get here, and there is room.
    return std.unicode.utf8Encode(codepoint, out) catch unreachable;
}

/// Copies the text before the first quote, backslash or control character; its length is answered.
fn copyOrdinary(in: []const u8, out: []u8) usize {
    const Block = @Vector(16, u8);
    const length = @min(in.len, out.len);
    var at: usize = 0;
    while (length - at >= 16) : (at += 16) {
        const block: Block = in[at..][0..16].*;
        out[at..][0..16].* = block;
        const quotes = block == @as(Block, @splat('"'));
        const backslashes = block == @as(Block, @splat('\\'));
        const controls = block < @as(Block, @splat(0x20));
        const special = @as(u16, @bitCast(quotes)) | @as(u16, @bitCast(backslashes)) |
            @as(u16, @bitCast(controls));
        if (special != 0) return at + @ctz(special);
    }
    while (at < length) : (at += 1) {
        switch (in[at]) {
            '"', '\\', 0x00...0x1f => break,
            else => |byte| out[at] = byte,
        }
    }
    return at;
}

/// Decodes `in` as if it arrived in pieces of `piece` bytes.
fn decodeInPieces(in: []const u8, piece: usize, out: []u8) !usize {
    var decoder: Decoder = .{};
    var start: usize = 0;
    var end: usize = 0;
    var produced: usize = 0;
    while (true) {
        const made = try decoder.step(in[start..end], out[produced..]);
        start += made.consumed;
        produced += made.produced;
        if (made.ended) {
            try std.testing.expectEqual(in.len, start);
            return produced;
        }
        if (made.consumed == 0 and made.produced == 0) {
            if (end == in.len) return error.NeverEnded;
            end = @min(in.len, end + piece);
        }
    }
}

test "every escape is decoded, however the text is cut" {
    const in =
        \\more than a block, \"\" \\ \/ \b\f\n\r\t \u0041\u00e9\u20ac\u0000 \ud83d\udc4d ü€👍"
    ;
    const expected = "more than a block, \"\" \\ / \x08\x0c\n\r\t Aé€\x00 👍 ü€👍";
    var out: [256]u8 = undefined;
    for (1..in.len + 1) |piece| {
        const length = try decodeInPieces(in, piece, &out);
        try std.testing.expectEqualStrings(expected, out[0..length]);
    }
}

test "half a surrogate pair becomes U+FFFD and what follows it is kept" {
    const cases = [_][2][]const u8{
        .{ "\\ud83d\"", "\u{fffd}" },
        .{ "\\udc4d\"", "\u{fffd}" },
        .{ "\\ud83dx\"", "\u{fffd}x" },
        .{ "\\ud83d\\n\"", "\u{fffd}\n" },
        .{ "\\ud83d\\ud83d\\udc4d\"", "\u{fffd}👍" },
        .{ "\\ud83d\\u0041\"", "\u{fffd}A" },
    };
    var out: [64]u8 = undefined;
    for (cases) |case| for (1..8) |piece| {
        const length = try decodeInPieces(case[0], piece, &out);
        try std.testing.expectEqualStrings(case[1], out[0..length]);
    };
}

test "control characters and unknown escapes are malformed" {
    var out: [64]u8 = undefined;
    for ([_][]const u8{ "a\nb\"", "\x00\"", "\\x\"", "\\u12g4\"", "\\u+123\"", "\\u 123\"" }) |in| {
        try std.testing.expectError(error.Malformed, decodeInPieces(in, in.len, &out));
    }
}

test "bytes that are not UTF-8 pass unchanged" {
    var out: [64]u8 = undefined;
    const length = try decodeInPieces("\xff\xfe\x80\"", 1, &out);
    try std.testing.expectEqualStrings("\xff\xfe\x80", out[0..length]);
}

test "a special character is found at every place of a block" {
    var in: [64]u8 = undefined;
    var out: [80]u8 = undefined;
    for (0..in.len) |at| for ([_]u8{ '"', '\\', 0x1f, 0 }) |special| {
        @memset(&in, 'x');
        in[at] = special;
        try std.testing.expectEqual(at, copyOrdinary(&in, &out));
    };
}

test "little room for the output never loses any of it" {
    const in = "abcdefghijklmnopqrstuvwxyz\\n\\ud83d\\udc4d0123456789\"";
    var decoder: Decoder = .{};
    var start: usize = 0;
    var whole: [64]u8 = undefined;
    var length: usize = 0;
    while (true) {
        var out: [minimum_room]u8 = undefined;
        const made = try decoder.step(in[start..], &out);
        @memcpy(whole[length..][0..made.produced], out[0..made.produced]);
        start += made.consumed;
        length += made.produced;
        if (made.ended) break;
    }
    const expected = "abcdefghijklmnopqrstuvwxyz\n👍0123456789";
    try std.testing.expectEqualStrings(expected, whole[0..length]);
}
