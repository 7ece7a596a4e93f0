//! The one message that the shim sends: an `exec` request of the base protocol.
//!
//! It is written as it is encoded, so its size matters to nobody here. An argument or a working
//! directory that is not UTF-8 has no JSON string; it goes as `{"base64": "..."}`.

const std = @import("std");
const Writer = std.Io.Writer;

/// What is asked of the daemon. `command` is ASCII; the other texts may be any bytes.
pub const Request = struct {
    command: []const u8,
    args: []const [*:0]const u8,
    /// Absolute, or null where it has no path.
    cwd: ?[]const u8,
    /// 64 hexadecimal digits, or null where no container is known.
    container_id: ?*const [64]u8,

    /// Writes the request and the newline that ends it.
    pub fn encode(request: Request, writer: *Writer) Writer.Error!void {
        try writer.writeAll(
            \\{"jsonrpc":"2.0","id":1,"method":"exec","params":{"command":
        );
        try encodeText(writer, request.command);
        try writer.writeAll(",\"args\":[");
        for (request.args, 0..) |argument, index| {
            if (index > 0) try writer.writeByte(',');
            try encodeText(writer, std.mem.span(argument));
        }
        try writer.writeAll("],\"cwd\":");
        try encodeOptional(writer, request.cwd);
        try writer.writeAll(",\"container_id\":");
        try encodeOptional(writer, if (request.container_id) |id| id else null);
        try writer.writeAll("}}\n");
    }
};

fn encodeOptional(writer: *Writer, text: ?[]const u8) Writer.Error!void {
    if (text) |bytes| try encodeText(writer, bytes) else try writer.writeAll("null");
}

fn encodeText(writer: *Writer, bytes: []const u8) Writer.Error!void {
    if (!std.unicode.utf8ValidateSlice(bytes)) {
        try writer.writeAll("{\"base64\":\"");
        try std.base64.standard.Encoder.encodeWriter(writer, bytes);
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

fn expectEncoded(expected: []const u8, request: Request) !void {
    var buffer: [1024]u8 = undefined;
    var writer = Writer.fixed(&buffer);
    try request.encode(&writer);
    try std.testing.expectEqualStrings(expected, writer.buffered());
}

const head = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"exec\",\"params\":{\"command\":\"c\",";
const tail = "\"cwd\":\"/\",\"container_id\":null}}\n";

test "a request is one line of the base protocol" {
    try expectEncoded(
        head ++ "\"args\":[\"push\",\"-u\"]," ++ tail,
        .{ .command = "c", .args = &.{ "push", "-u" }, .cwd = "/", .container_id = null },
    );
}

test "a container is named, and an unknown directory is null" {
    const id: *const [64]u8 = "0123456789abcdef" ** 4;
    try expectEncoded(
        head ++ "\"args\":[],\"cwd\":null,\"container_id\":\"" ++ id.* ++ "\"}}\n",
        .{ .command = "c", .args = &.{}, .cwd = null, .container_id = id },
    );
}

test "quotes, backslashes and control characters are escaped, other characters are not" {
    try expectEncoded(
        head ++ "\"args\":[\"\",\"a\\\"b\\\\c\",\"\\n\\t\\r\\u0001\\u001b\",\"zażółć 👍\x7f\"]," ++ tail,
        .{
            .command = "c",
            .args = &.{ "", "a\"b\\c", "\n\t\r\x01\x1b", "zażółć 👍\x7f" },
            .cwd = "/",
            .container_id = null,
        },
    );
}

test "text that is not UTF-8 goes as base64" {
    try expectEncoded(
        head ++ "\"args\":[{\"base64\":\"/w==\"},{\"base64\":\"YcOp7aCA\"}]," ++
            "\"cwd\":{\"base64\":\"L/8=\"},\"container_id\":null}}\n",
        .{
            .command = "c",
            .args = &.{ "\xff", "a\xc3\xa9\xed\xa0\x80" },
            .cwd = "/\xff",
            .container_id = null,
        },
    );
}
