//! Base64 (RFC 4648 section 4, with padding), decoded any number of characters at a time.

const std = @import("std");
const Output = @import("output.zig").Output;

/// That of `std.base64.standard`, whose unused decoders would take 5 KB of the program.
const encoder: std.base64.Base64Encoder = .init(std.base64.standard_alphabet_chars, '=');

/// Bytes to be written as base64, by `{f}`.
pub const Encoded = struct {
    bytes: []const u8,

    pub fn format(encoded: Encoded, writer: *std.Io.Writer) std.Io.Writer.Error!void {
        return encoder.encodeWriter(writer, encoded.bytes);
    }
};

pub const Error = error{
    /// A character that base64 has not, or padding where it does not belong.
    Malformed,
};

pub const Decoder = struct {
    /// The characters of a group of four that has begun.
    group: [4]u8 = undefined,
    count: usize = 0,
    /// Whether the padding was reached, after which nothing may follow.
    is_padded: bool = false,

    /// Decodes all of `in` and answers how many bytes that gives. `out` has room for a quarter
    /// less than `in`, and three more; it may begin where `in` begins.
    pub fn decode(decoder: *Decoder, in: []const u8, out: []u8) Error!usize {
        var at: usize = 0;
        var produced: usize = 0;
        while (at < in.len) {
            if (decoder.count == 0 and !decoder.is_padded) {
                const groups = decodeGroups(in[at..], out[produced..]);
                at += groups * 4;
                produced += groups * 3;
                if (at == in.len) break;
            }
            if (decoder.is_padded) return error.Malformed;
            decoder.group[decoder.count] = in[at];
            decoder.count += 1;
            at += 1;
            if (decoder.count == 4) produced += try decoder.endGroup(out[produced..]);
        }
        return produced;
    }

    /// Whether what was decoded ends where base64 may end.
    pub fn isComplete(decoder: *const Decoder) bool {
        return decoder.count == 0;
    }

    fn endGroup(decoder: *Decoder, out: []u8) Error!usize {
        decoder.count = 0;
        const ending = decoder.group[2..4];
        const padding: usize = if (ending[1] != '=') 0 else if (ending[0] != '=') 1 else 2;
        decoder.is_padded = padding > 0;
        for (decoder.group[4 - padding ..]) |*character| character.* = 'A';
        const value = valueOf(decoder.group);
        if (value & invalid != 0) return error.Malformed;
        const bytes: [4]u8 = @bitCast(value);
        @memcpy(out[0 .. 3 - padding], bytes[0 .. 3 - padding]);
        return 3 - padding;
    }
};

/// Where base64 text goes that is to reach the output decoded; for `Reader.string`. The text gets
/// into `storage` first, which has at least `json_string.minimum_room` bytes.
pub const Sink = struct {
    storage: []u8,
    output: *Output,
    decoder: Decoder = .{},
    is_malformed: bool = false,

    pub fn window(sink: *Sink) []u8 {
        return sink.storage;
    }

    pub fn commit(sink: *Sink, count: usize) void {
        var rest: []const u8 = sink.storage[0..count];
        while (rest.len > 0) {
            const room = sink.output.window();
            const taken = rest[0..@min(rest.len, room.len - 4)];
            const produced = sink.decoder.decode(taken, room) catch {
                sink.is_malformed = true;
                return;
            };
            sink.output.commit(produced);
            rest = rest[taken.len..];
        }
    }

    /// Whether the whole of the text was base64.
    pub fn isGood(sink: *const Sink) bool {
        return !sink.is_malformed and sink.decoder.isComplete();
    }
};

/// Decodes whole groups up to one that ends in padding, or is wrong; answers how many.
fn decodeGroups(in: []const u8, out: []u8) usize {
    const stride = 8;
    var group: usize = 0;
    // Four bytes are written for a group that gives three, so there must be room for one more.
    while ((group + stride) * 4 <= in.len and (group + stride) * 3 + 1 <= out.len) {
        var values: [stride]u32 = undefined;
        var seen: u32 = 0;
        inline for (&values, 0..) |*value, nth| {
            value.* = valueOf(in[(group + nth) * 4 ..][0..4].*);
            seen |= value.*;
        }
        if (seen & invalid != 0) break;
        inline for (values, 0..) |value, nth| {
            out[(group + nth) * 3 ..][0..4].* = @bitCast(value);
        }
        group += stride;
    }
    while ((group + 1) * 4 <= in.len) : (group += 1) {
        const value = valueOf(in[group * 4 ..][0..4].*);
        if (value & invalid != 0) break;
        const bytes: [4]u8 = @bitCast(value);
        out[group * 3 ..][0..3].* = bytes[0..3].*;
    }
    return group;
}

/// The three bytes of a group, the first of them lowest; `invalid` is set where it is none.
fn valueOf(group: [4]u8) u32 {
    return tables[0][group[0]] | tables[1][group[1]] | tables[2][group[2]] | tables[3][group[3]];
}

const invalid: u32 = 1 << 31;

/// What each of the four characters of a group adds to its value.
const tables: [4][256]u32 = blk: {
    @setEvalBranchQuota(10_000);
    var made: [4][256]u32 = @splat(@splat(invalid));
    for (std.base64.standard_alphabet_chars, 0..) |character, sextet| {
        for (&made, [_]u5{ 18, 12, 6, 0 }) |*table, shift| {
            table[character] = @byteSwap(@as(u32, sextet) << shift) >> 8;
        }
    }
    break :blk made;
};

test "every length is decoded, however the text is cut, in its own place too" {
    var plain: [200]u8 = undefined;
    for (&plain, 0..) |*byte, nth| byte.* = @truncate(nth *% 151 +% 7);
    for (0..plain.len) |length| {
        var text: [300]u8 = undefined;
        const encoded = std.base64.standard.Encoder.encode(&text, plain[0..length]);
        for ([_]usize{ 1, 2, 3, 5, 33, 300 }) |piece| {
            var decoder: Decoder = .{};
            var out: [256]u8 = undefined;
            var produced: usize = 0;
            var at: usize = 0;
            while (at < encoded.len) : (at += piece) {
                const end = @min(encoded.len, at + piece);
                produced += try decoder.decode(encoded[at..end], out[produced..]);
            }
            try std.testing.expect(decoder.isComplete());
            try std.testing.expectEqualSlices(u8, plain[0..length], out[0..produced]);
        }
        var decoder: Decoder = .{};
        const produced = try decoder.decode(encoded, &text);
        try std.testing.expectEqualSlices(u8, plain[0..length], text[0..produced]);
    }
}

test "what is no base64 is refused or incomplete" {
    var out: [64]u8 = undefined;
    for ([_][]const u8{
        "AA=A",                             "=AAA",  "A===", "AA==AAAA",
        "AAA=A",                            "AA\nA", "A-_A", "\xff\xff\xff\xff",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAA!AAA",
    }) |text| {
        var decoder: Decoder = .{};
        try std.testing.expectError(error.Malformed, decoder.decode(text, &out));
    }
    for ([_][]const u8{ "A", "AA", "AA=", "AAAAA" }) |text| {
        var decoder: Decoder = .{};
        _ = try decoder.decode(text, &out);
        try std.testing.expect(!decoder.isComplete());
    }
}
