//! A place of fixed size for a string of the daemon's.

const std = @import("std");
const json_string = @import("json_string.zig");

/// Keeps the beginning of what is put into it, and remembers whether there was more. With no
/// storage at all it discards everything.
pub const Text = struct {
    storage: []u8,
    length: usize = 0,
    overflowed: bool = false,
    surplus: [256]u8 = undefined,

    /// Room for at least `json_string.minimum_room` bytes, until the next `commit`.
    pub fn window(text: *Text) []u8 {
        return if (text.hasRoom()) text.storage[text.length..] else &text.surplus;
    }

    /// Keeps the first `count` bytes of the window.
    pub fn commit(text: *Text, count: usize) void {
        if (text.hasRoom()) {
            text.length += count;
        } else if (count > 0) {
            text.overflowed = true;
        }
    }

    pub fn clear(text: *Text) void {
        text.length = 0;
        text.overflowed = false;
    }

    /// Becomes `whole`, which fits.
    pub fn set(text: *Text, whole: []const u8) void {
        @memcpy(text.storage[0..whole.len], whole);
        text.length = whole.len;
        text.overflowed = false;
    }

    pub fn bytes(text: *const Text) []const u8 {
        return text.storage[0..text.length];
    }

    /// Whether the whole text is `expected`.
    pub noinline fn equals(text: *const Text, expected: []const u8) bool {
        return !text.overflowed and std.mem.eql(u8, text.bytes(), expected);
    }

    fn hasRoom(text: *const Text) bool {
        return text.storage.len - text.length >= json_string.minimum_room;
    }
};

test "what does not fit is dropped and remembered" {
    var storage: [32]u8 = undefined;
    var text: Text = .{ .storage = &storage };
    for (0..3) |_| {
        @memset(text.window()[0..16], 'x');
        text.commit(16);
    }
    try std.testing.expectEqualStrings("x" ** 32, text.bytes());
    try std.testing.expect(!text.equals("x" ** 32));
    text.clear();
    @memcpy(text.window()[0..2], "ab");
    text.commit(2);
    try std.testing.expect(text.equals("ab"));
}

test "a text without storage discards" {
    var text: Text = .{ .storage = &.{} };
    text.commit(text.window().len);
    try std.testing.expectEqualStrings("", text.bytes());
    try std.testing.expect(text.overflowed);
}
