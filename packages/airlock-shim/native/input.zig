//! A buffer that is read byte by byte and filled again when it is empty, so that nothing above it
//! cares how the daemon's messages were cut into reads.

const std = @import("std");

pub const Error = error{
    /// The other side closed the connection.
    Ended,
    /// Reading failed; what fills the buffer knows why.
    ReadFailed,
};

pub const Input = struct {
    /// Holds at least the longest stretch that `more` is asked to keep.
    buffer: []u8,
    context: *anyopaque,
    /// Waits for bytes and puts some into the slice, which is never empty; answers how many.
    /// Zero is the end.
    fill: *const fn (context: *anyopaque, buffer: []u8) Error!usize,
    start: usize = 0,
    end: usize = 0,

    /// What is here and not yet consumed.
    pub fn buffered(input: *const Input) []const u8 {
        return input.buffer[input.start..input.end];
    }

    pub fn toss(input: *Input, count: usize) void {
        std.debug.assert(count <= input.end - input.start);
        input.start += count;
    }

    /// Waits for more than what is buffered, and keeps that.
    pub fn more(input: *Input) Error!void {
        if (input.start > 0) {
            std.mem.copyForwards(u8, input.buffer, input.buffered());
            input.end -= input.start;
            input.start = 0;
        }
        const count = try input.fill(input.context, input.buffer[input.end..]);
        if (count == 0) return error.Ended;
        input.end += count;
    }

    /// The next byte, which stays.
    pub fn peek(input: *Input) Error!u8 {
        if (input.start == input.end) try input.more();
        return input.buffer[input.start];
    }

    pub fn take(input: *Input) Error!u8 {
        const byte = try input.peek();
        input.start += 1;
        return byte;
    }
};

/// Gives out a text in pieces of a fixed size; for tests.
pub const Pieces = struct {
    text: []const u8,
    size: usize,

    pub fn input(pieces: *Pieces, buffer: []u8) Input {
        return .{ .buffer = buffer, .context = pieces, .fill = fill };
    }

    fn fill(context: *anyopaque, buffer: []u8) Error!usize {
        const pieces: *Pieces = @ptrCast(@alignCast(context));
        const count = @min(pieces.size, buffer.len, pieces.text.len);
        @memcpy(buffer[0..count], pieces.text[0..count]);
        pieces.text = pieces.text[count..];
        return count;
    }
};

test "bytes come in order whatever the pieces, and then the end" {
    for (1..9) |size| {
        var pieces: Pieces = .{ .text = "abcdefgh", .size = size };
        var buffer: [4]u8 = undefined;
        var input = pieces.input(&buffer);
        for ("abcdefgh") |expected| {
            try std.testing.expectEqual(expected, try input.peek());
            try std.testing.expectEqual(expected, try input.take());
        }
        try std.testing.expectError(error.Ended, input.peek());
        try std.testing.expectError(error.Ended, input.take());
    }
}

test "what is buffered is kept while more is waited for" {
    var pieces: Pieces = .{ .text = "abcdef", .size = 2 };
    var buffer: [4]u8 = undefined;
    var input = pieces.input(&buffer);
    _ = try input.take();
    try input.more();
    try std.testing.expectEqualStrings("bcd", input.buffered());
    input.toss(3);
    try input.more();
    try std.testing.expectEqualStrings("ef", input.buffered());
}
