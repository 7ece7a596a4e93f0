//! Which of the features that the shim offers the daemon will use.

const std = @import("std");
const Reader = @import("json_reader.zig").Reader;
const Error = @import("json_reader.zig").Error;
const Text = @import("text.zig").Text;

/// `exit-signal` and `env` change nothing here: the one is a member of the result, the other was
/// sent with the request.
pub const Features = struct {
    base64: bool = false,
    stdin: bool = false,
    signals: bool = false,
    tty: bool = false,
    fds: bool = false,
};

/// Reads a list of names. Names that are unknown here mean nothing; what is no list names none.
pub fn read(reader: *Reader, name: *Text) Error!Features {
    var features: Features = .{};
    if (try reader.peekToken() != '[') {
        try reader.skip();
        return features;
    }
    _ = try reader.accept('[');
    if (try reader.accept(']')) return features;
    while (true) {
        if (try reader.peekToken() == '"') {
            name.clear();
            try reader.string(name);
            inline for (@typeInfo(Features).@"struct".fields) |field| {
                if (name.equals(field.name)) @field(features, field.name) = true;
            }
        } else try reader.skip();
        if (try reader.accept(']')) return features;
        try reader.expect(',', "an element of an array does not end in , or ]");
    }
}

fn readFrom(text: []const u8) Error!Features {
    var pieces: @import("input.zig").Pieces = .{ .text = text, .size = 3 };
    var buffer: [16]u8 = undefined;
    var input = pieces.input(&buffer);
    var reader: Reader = .{ .input = &input };
    var storage: [64]u8 = undefined;
    var name: Text = .{ .storage = &storage };
    const features = try read(&reader, &name);
    try reader.expect('\n', "unread");
    return features;
}

test "known names count, and others mean nothing" {
    const expectEqual = std.testing.expectEqual;
    try expectEqual(Features{}, try readFrom("[]\n"));
    try expectEqual(Features{}, try readFrom("null\n"));
    try expectEqual(
        Features{ .base64 = true, .tty = true },
        try readFrom("[\"tty\", \"later\",7,{\"stdin\":[]},\"base64\" ]\n"),
    );
    try expectEqual(
        Features{ .stdin = true, .signals = true, .fds = true },
        try readFrom("[\"stdin\",\"signals\",\"fds\",\"exit-signal\",\"env\"]\n"),
    );
    try std.testing.expectError(error.Malformed, readFrom("[\"stdin\" \"fds\"]\n"));
}
