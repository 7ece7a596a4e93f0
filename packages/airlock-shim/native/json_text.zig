//! Writes texts of any bytes as JSON. What is not UTF-8 has no JSON string; it goes as
//! `{"base64": "..."}`.

const std = @import("std");
const base64 = @import("base64.zig");
const Writer = std.Io.Writer;

pub fn encode(writer: *Writer, bytes: []const u8) Writer.Error!void {
    if (!std.unicode.utf8ValidateSlice(bytes)) {
        try writer.writeAll("{\"base64\":\"");
        try base64.Encoded.format(.{ .bytes = bytes }, writer);
        try writer.writeAll("\"}");
        return;
    }
    try writer.writeByte('"');
    var unescaped: usize = 0;
    for (bytes, 0..) |byte, at| {
        if (byte >= 0x20 and byte != '"' and byte != '\\') continue;
        try writer.writeAll(bytes[unescaped..at]);
        unescaped = at + 1;
        switch (byte) {
            '"' => try writer.writeAll("\\\""),
            '\\' => try writer.writeAll("\\\\"),
            '\n' => try writer.writeAll("\\n"),
            '\t' => try writer.writeAll("\\t"),
            '\r' => try writer.writeAll("\\r"),
            else => try writer.print("\\u{x:0>4}", .{byte}),
        }
    }
    try writer.writeAll(bytes[unescaped..]);
    try writer.writeByte('"');
}

fn expectEncoded(expected: []const u8, bytes: []const u8) !void {
    var buffer: [256]u8 = undefined;
    var writer = Writer.fixed(&buffer);
    try encode(&writer, bytes);
    try std.testing.expectEqualStrings(expected, writer.buffered());
}

test "quotes, backslashes and control characters are escaped, other characters are not" {
    try expectEncoded("\"\"", "");
    try expectEncoded("\"a\\\"b\\\\c\"", "a\"b\\c");
    try expectEncoded("\"\\n\\t\\r\\u0001\\u001b\"", "\n\t\r\x01\x1b");
    try expectEncoded("\"zażółć 👍\x7f\"", "zażółć 👍\x7f");
}

test "text that is not UTF-8 goes as base64" {
    try expectEncoded("{\"base64\":\"/w==\"}", "\xff");
    try expectEncoded("{\"base64\":\"YcOp7aCA\"}", "a\xc3\xa9\xed\xa0\x80");
}
