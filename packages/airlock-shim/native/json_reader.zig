//! Reads JSON values one after the other from an `Input`, without ever holding a whole message.
//!
//! A value goes where the caller wants it (a string into a sink, a number into an integer), or is
//! skipped. A message is one line, so a line feed is no white space here: it ends the message.

const std = @import("std");
const input_module = @import("input.zig");
const json_string = @import("json_string.zig");
const Input = input_module.Input;
const Text = @import("text.zig").Text;

/// How deep a value that is skipped may nest.
const depth_limit = 64;

pub const Error = input_module.Error || error{
    /// It is not JSON, or not what the protocol has there; `Reader.problem` says what.
    Malformed,
};

pub const Reader = struct {
    input: *Input,
    /// What was wrong, once a call has answered `error.Malformed`.
    problem: []const u8 = "",

    pub fn fail(reader: *Reader, problem: []const u8) error{Malformed} {
        reader.problem = problem;
        return error.Malformed;
    }

    /// The first byte of the next token, which stays.
    pub noinline fn peekToken(reader: *Reader) Error!u8 {
        while (true) switch (try reader.input.peek()) {
            ' ', '\t', '\r' => reader.input.toss(1),
            else => |byte| return byte,
        };
    }

    /// Consumes the next token if it is this one byte.
    pub noinline fn accept(reader: *Reader, byte: u8) Error!bool {
        if (try reader.peekToken() != byte) return false;
        reader.input.toss(1);
        return true;
    }

    pub noinline fn expect(reader: *Reader, byte: u8, problem: []const u8) Error!void {
        if (!try reader.accept(byte)) return reader.fail(problem);
    }

    /// Whether the next value is an object, whose brace is consumed then. Another value is skipped.
    pub fn acceptObject(reader: *Reader) Error!bool {
        if (try reader.accept('{')) return true;
        try reader.skip();
        return false;
    }

    /// Moves to the next member of an object whose brace is consumed, up to its value, and puts
    /// its name into `name`. Answers false once the closing brace is consumed; `is_first` begins
    /// as true and is kept here.
    pub noinline fn nextMember(reader: *Reader, is_first: *bool, name: *Text) Error!bool {
        if (try reader.accept('}')) return false;
        if (!is_first.*) try reader.expect(',', "a member of an object does not end in , or }");
        is_first.* = false;
        name.clear();
        try reader.string(name);
        try reader.expect(':', "the name of a member is not followed by :");
        return true;
    }

    /// Decodes a string into `sink`, which has `window() []u8`, giving at least
    /// `json_string.minimum_room` bytes, and `commit(count)`.
    pub fn string(reader: *Reader, sink: anytype) Error!void {
        try reader.expect('"', "something stands where a string belongs");
        return reader.restOfString(sink);
    }

    /// The same for a string whose opening quote is consumed.
    pub fn restOfString(reader: *Reader, sink: anytype) Error!void {
        var decoder: json_string.Decoder = .{};
        while (true) {
            const step = decoder.step(reader.input.buffered(), sink.window()) catch
                return reader.fail("a string holds a control character or an unknown escape");
            reader.input.toss(step.consumed);
            sink.commit(step.produced);
            if (step.ended) return;
            if (step.consumed == 0 and step.produced == 0) try reader.input.more();
        }
    }

    /// An integer of at most 18 digits, without fraction or exponent.
    pub fn integer(reader: *Reader) Error!i64 {
        const problem = "something stands where an integer belongs";
        var digits: [19]u8 = undefined;
        var length: usize = 0;
        _ = try reader.peekToken();
        while (true) switch (try reader.input.peek()) {
            '-', '+', '.', '0'...'9', 'a'...'z', 'A'...'Z' => |byte| {
                if (length == digits.len) return reader.fail(problem);
                digits[length] = byte;
                length += 1;
                reader.input.toss(1);
            },
            else => break,
        };
        const text = digits[0..length];
        if (std.mem.indexOfAny(u8, text, "+_") != null) return reader.fail(problem);
        return std.fmt.parseInt(i64, text, 10) catch reader.fail(problem);
    }

    /// An integer that counts something; null, and skipped, where another value stands.
    pub fn count(reader: *Reader) Error!?u64 {
        switch (try reader.peekToken()) {
            '0'...'9' => return @intCast(try reader.integer()),
            else => try reader.skip(),
        }
        return null;
    }

    /// Consumes any value.
    pub fn skip(reader: *Reader) Error!void {
        return reader.skipNested(0);
    }

    fn skipNested(reader: *Reader, depth: usize) Error!void {
        if (depth == depth_limit) return reader.fail("a value nests too deep");
        switch (try reader.peekToken()) {
            '"' => {
                var nowhere: Text = .{ .storage = &.{} };
                try reader.string(&nowhere);
            },
            '{' => {
                reader.input.toss(1);
                var nowhere: Text = .{ .storage = &.{} };
                var is_first = true;
                while (try reader.nextMember(&is_first, &nowhere)) try reader.skipNested(depth + 1);
            },
            '[' => {
                reader.input.toss(1);
                if (try reader.accept(']')) return;
                while (true) {
                    try reader.skipNested(depth + 1);
                    if (try reader.accept(']')) return;
                    try reader.expect(',', "an element of an array does not end in , or ]");
                }
            },
            't' => try reader.word("true"),
            'f' => try reader.word("false"),
            'n' => try reader.word("null"),
            '-', '0'...'9' => try reader.skipNumber(),
            else => return reader.fail("something stands where a value belongs"),
        }
    }

    noinline fn word(reader: *Reader, expected: []const u8) Error!void {
        for (expected) |byte| {
            if (try reader.input.take() != byte) return reader.fail("an unknown word");
        }
    }

    fn skipNumber(reader: *Reader) Error!void {
        while (true) switch (try reader.input.peek()) {
            '-', '+', '.', 'e', 'E', '0'...'9' => reader.input.toss(1),
            else => return,
        };
    }
};

const Pieces = input_module.Pieces;

fn skipAll(text: []const u8, size: usize) Error!void {
    var pieces: Pieces = .{ .text = text, .size = size };
    var buffer: [16]u8 = undefined;
    var input = pieces.input(&buffer);
    var reader: Reader = .{ .input = &input };
    try reader.skip();
    try reader.expect('\n', "unread");
}

test "any value is skipped whole, however it is cut" {
    const text =
        \\ {"a":[1,-2.5e+3,"x\"]}",{}, [ ] ,true],"b":{"c":null,"d":false}, "" : "\ud83d\udc4d"}
    ++ "\r\n";
    for (1..text.len) |size| try skipAll(text, size);
}

test "what is no JSON is refused" {
    for ([_][]const u8{
        "x\n",   "{a}\n",         "[1 2]\n", "{\"a\" 1}\n", "{\"a\":1 \"b\":2}\n", "nul\n",
        "\"a\n", "{\"a\":1\n}\n", "[,]\n",   "{\"a\":}\n",  "\n",
    }) |text| try std.testing.expectError(error.Malformed, skipAll(text, 3));
}

test "a message that ends early is told apart from one that is wrong" {
    for ([_][]const u8{ "", "{", "[1", "\"a", "tru", "{\"a\":", "{\"a\":1", "\"\\u00" }) |text| {
        try std.testing.expectError(error.Ended, skipAll(text, 2));
    }
}

test "nesting is bounded" {
    try skipAll("[" ** 64 ++ "]" ** 64 ++ "\n", 7);
    try std.testing.expectError(error.Malformed, skipAll("[" ** 100_000, 7));
}

test "only integers are read as such" {
    const cases = [_]struct { []const u8, Error!i64 }{
        .{ " 0,", 0 },                  .{ "255}", 255 },
        .{ "-32601 ", -32601 },         .{ "123456789012345678,", 123456789012345678 },
        .{ "1.0,", error.Malformed },   .{ "1e3,", error.Malformed },
        .{ "+1,", error.Malformed },    .{ "null,", error.Malformed },
        .{ "\"1\",", error.Malformed }, .{ "12345678901234567890,", error.Malformed },
        .{ "12", error.Ended },
    };
    for (cases) |case| {
        var pieces: Pieces = .{ .text = case[0], .size = 2 };
        var buffer: [16]u8 = undefined;
        var input = pieces.input(&buffer);
        var reader: Reader = .{ .input = &input };
        try std.testing.expectEqual(case[1], reader.integer());
    }
}
