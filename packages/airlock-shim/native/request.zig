//! The request that the shim begins with: `exec`, and the features that it offers to use.
//!
//! It is written as it is encoded, so its size does not matter here. Daemons that know nothing
//! of features ignore those members.

const std = @import("std");
const json_text = @import("json_text.zig");
const Writer = std.Io.Writer;

/// The names of what this shim can do beyond the base protocol.
pub const features = [_][]const u8{
    "base64", "stdin", "signals", "tty", "exit-signal", "env", "fds",
};

/// Which of the client's streams are terminals, and what kind of terminal it is.
pub const Tty = struct {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    rows: u16,
    columns: u16,
    /// The value of TERM; null where there is none that the protocol has.
    term: ?[]const u8,
};

/// Whether `name` may be sent as a kind of terminal: `[A-Za-z0-9+._-]{1,64}`.
pub fn isTerminalName(name: []const u8) bool {
    if (name.len == 0 or name.len > 64) return false;
    for (name) |character| switch (character) {
        'A'...'Z', 'a'...'z', '0'...'9', '+', '.', '_', '-' => {},
        else => return false,
    };
    return true;
}

/// What is asked of the daemon. `command` is ASCII; the other texts may be any bytes.
pub const Request = struct {
    command: []const u8,
    /// An argument before the others; null for none.
    first: ?[:0]const u8 = null,
    args: []const [*:0]const u8,
    /// Absolute, or null where it has no path.
    cwd: ?[]const u8,
    /// 64 hexadecimal digits, or null where no container is known.
    container_id: ?*const [64]u8,
    /// Null where no stream is a terminal.
    tty: ?Tty = null,
    /// `NAME=value` each, as environ(7) has it.
    environment: []const [*:0]const u8 = &.{},

    /// Writes the request and the newline that ends it.
    pub fn encode(request: *const Request, writer: *Writer) Writer.Error!void {
        try writer.writeAll(
            \\{"jsonrpc":"2.0","id":1,"method":"exec","params":{"command":
        );
        try json_text.encode(writer, request.command);
        try writer.writeAll(",\"args\":[");
        if (request.first) |argument| try json_text.encode(writer, argument);
        for (request.args, 0..) |argument, index| {
            if (index > 0 or request.first != null) try writer.writeByte(',');
            try json_text.encode(writer, std.mem.span(argument));
        }
        try writer.writeAll("],\"cwd\":");
        try encodeOptional(writer, request.cwd);
        try writer.writeAll(",\"container_id\":");
        try encodeOptional(writer, if (request.container_id) |id| id else null);
        try writer.writeAll(features_member);
        if (request.tty) |tty| try encodeTty(writer, tty);
        try writer.writeAll(",\"env\":{");
        try request.encodeEnvironment(writer);
        try writer.writeAll("}}}\n");
    }

    /// From the last variable to the first: where one is there twice, getenv(3) finds the first,
    /// and a reader of JSON keeps the last.
    fn encodeEnvironment(request: *const Request, writer: *Writer) Writer.Error!void {
        var is_first = true;
        var remaining = request.environment.len;
        while (remaining > 0) {
            remaining -= 1;
            const entry = std.mem.span(request.environment[remaining]);
            const separator = std.mem.indexOfScalar(u8, entry, '=') orelse continue;
            const name = entry[0..separator];
            // The name of a member cannot be base64.
            if (name.len == 0 or !std.unicode.utf8ValidateSlice(name)) continue;
            if (!is_first) try writer.writeByte(',');
            is_first = false;
            try json_text.encode(writer, name);
            try writer.writeByte(':');
            try json_text.encode(writer, entry[separator + 1 ..]);
        }
    }
};

const features_member = blk: {
    var text: []const u8 = ",\"features\":[";
    for (features, 0..) |name, nth| {
        text = text ++ (if (nth == 0) "\"" else ",\"") ++ name ++ "\"";
    }
    break :blk text ++ "]";
};

fn encodeOptional(writer: *Writer, text: ?[]const u8) Writer.Error!void {
    if (text) |bytes| try json_text.encode(writer, bytes) else try writer.writeAll("null");
}

fn encodeTty(writer: *Writer, tty: Tty) Writer.Error!void {
    try writer.print(
        ",\"tty\":{{\"stdin\":{},\"stdout\":{},\"stderr\":{},\"rows\":{d},\"cols\":{d},\"term\":",
        .{ tty.stdin, tty.stdout, tty.stderr, tty.rows, tty.columns },
    );
    try encodeOptional(writer, tty.term);
    try writer.writeByte('}');
}

fn expectEncoded(expected: []const u8, request: Request) !void {
    var buffer: [1024]u8 = undefined;
    var writer = Writer.fixed(&buffer);
    try request.encode(&writer);
    try std.testing.expectEqualStrings(expected, writer.buffered());
}

const head = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"exec\",\"params\":{\"command\":\"c\",";
const offered = ",\"features\":[\"base64\",\"stdin\",\"signals\",\"tty\",\"exit-signal\"," ++
    "\"env\",\"fds\"]";

test "a request is one line, and offers all features" {
    try expectEncoded(
        head ++ "\"args\":[\"push\",\"-u\"],\"cwd\":\"/\",\"container_id\":null" ++ offered ++
            ",\"env\":{}}}\n",
        .{ .command = "c", .args = &.{ "push", "-u" }, .cwd = "/", .container_id = null },
    );
}

test "the argument that a name stands for comes first" {
    const tail = "\"cwd\":null,\"container_id\":null" ++ offered ++ ",\"env\":{}}}\n";
    var request: Request = .{
        .command = "c",
        .first = "ssh",
        .args = &.{"host"},
        .cwd = null,
        .container_id = null,
    };
    try expectEncoded(head ++ "\"args\":[\"ssh\",\"host\"]," ++ tail, request);
    request.args = &.{};
    try expectEncoded(head ++ "\"args\":[\"ssh\"]," ++ tail, request);
}

test "a container is named, and an unknown directory is null" {
    const id: *const [64]u8 = "0123456789abcdef" ** 4;
    try expectEncoded(
        head ++ "\"args\":[],\"cwd\":null,\"container_id\":\"" ++ id.* ++ "\"" ++ offered ++
            ",\"env\":{}}}\n",
        .{ .command = "c", .args = &.{}, .cwd = null, .container_id = id },
    );
}

test "a terminal is described" {
    const tty: Tty = .{
        .stdin = true,
        .stdout = false,
        .stderr = true,
        .rows = 24,
        .columns = 80,
        .term = null,
    };
    try expectEncoded(
        head ++ "\"args\":[],\"cwd\":null,\"container_id\":null" ++ offered ++
            ",\"tty\":{\"stdin\":true,\"stdout\":false,\"stderr\":true," ++
            "\"rows\":24,\"cols\":80,\"term\":null},\"env\":{}}}\n",
        .{ .command = "c", .args = &.{}, .cwd = null, .container_id = null, .tty = tty },
    );
}

test "the first of equal variables counts, and entries that are none are left out" {
    try expectEncoded(
        head ++ "\"args\":[],\"cwd\":null,\"container_id\":null" ++ offered ++
            ",\"env\":{\"A\":\"2\",\"B\":{\"base64\":\"/w==\"},\"A\":\"1=\"}}}\n",
        .{
            .command = "c",
            .args = &.{},
            .cwd = null,
            .container_id = null,
            .environment = &.{ "A=1=", "B=\xff", "A=2", "\xff=x", "=x", "none", "" },
        },
    );
}

test "the kinds of terminal that the protocol has" {
    for ([_][]const u8{ "xterm-256color", "rxvt+x", "a.b_c", "x" ** 64 }) |name| {
        try std.testing.expect(isTerminalName(name));
    }
    for ([_][]const u8{ "", "x y", "\x1b[", "x" ** 65 }) |name| {
        try std.testing.expect(!isTerminalName(name));
    }
}
