//! The daemon's answer to the request: how the command ended, or why it did not run.

const std = @import("std");
const Reader = @import("json_reader.zig").Reader;
const Error = @import("json_reader.zig").Error;
const Text = @import("text.zig").Text;

/// How the command ended.
pub const Exit = struct {
    status: u8,
    /// The name of the signal that ended it; empty where none did, or the daemon does not say.
    signal: []const u8 = "",
    /// How much of its stdin it took, where the daemon says so.
    stdin_bytes: ?u64 = null,
};

/// The daemon's error: the command did not run, or was ended.
pub const Refusal = struct {
    code: i64,
    message: []const u8,
    /// What to do about it; empty where the daemon does not say.
    hint: []const u8,
};

/// Memory for the strings of a response. One that is longer is cut.
pub const Storage = struct {
    signal: [32]u8,
    message: [16 * 1024]u8,
    hint: [8 * 1024]u8,
};

/// The members of a message that make it a response, as far as they were read.
pub const Response = struct {
    exit_code: ?i64 = null,
    stdin_bytes: ?u64 = null,
    signal: Text,
    code: ?i64 = null,
    message: Text,
    hint: Text,

    pub fn init(storage: *Storage) Response {
        return .{
            .signal = .{ .storage = &storage.signal },
            .message = .{ .storage = &storage.message },
            .hint = .{ .storage = &storage.hint },
        };
    }

    pub fn clear(response: *Response) void {
        response.exit_code = null;
        response.stdin_bytes = null;
        response.code = null;
        for ([_]*Text{ &response.signal, &response.message, &response.hint }) |text| text.clear();
    }

    /// The error, if there was one.
    pub fn refusal(response: *const Response) ?Refusal {
        return .{
            .code = response.code orelse return null,
            .message = response.message.bytes(),
            .hint = response.hint.bytes(),
        };
    }

    /// The result, if there was one.
    pub fn exit(response: *const Response, reader: *Reader) Error!?Exit {
        const code = response.exit_code orelse return null;
        return .{
            .status = std.math.cast(u8, code) orelse
                return reader.fail("an exit status is not between 0 and 255"),
            .signal = response.signal.bytes(),
            .stdin_bytes = response.stdin_bytes,
        };
    }

    /// Reads the value of `result`. `name` is where the names of members go.
    pub fn readResult(response: *Response, reader: *Reader, name: *Text) Error!void {
        if (!try reader.acceptObject()) return;
        var is_first = true;
        while (try reader.nextMember(&is_first, name)) {
            if (name.equals("exit_code")) {
                response.exit_code = try reader.integer();
            } else if (name.equals("signal") and try reader.peekToken() == '"') {
                response.signal.clear();
                try reader.string(&response.signal);
            } else if (name.equals("stdin_bytes")) {
                response.stdin_bytes = try reader.count();
            } else try reader.skip();
        }
        if (response.exit_code == null) return reader.fail("a result has no exit_code");
    }

    /// Reads the value of `error`.
    pub fn readError(response: *Response, reader: *Reader, name: *Text) Error!void {
        if (!try reader.acceptObject()) return;
        var is_first = true;
        while (try reader.nextMember(&is_first, name)) {
            if (name.equals("code")) {
                response.code = try reader.integer();
            } else if (name.equals("message")) {
                response.message.clear();
                try reader.string(&response.message);
            } else if (name.equals("data")) {
                try response.readErrorData(reader, name);
            } else try reader.skip();
        }
        if (response.code == null) return reader.fail("an error has no code");
    }

    fn readErrorData(response: *Response, reader: *Reader, name: *Text) Error!void {
        if (!try reader.acceptObject()) return;
        var is_first = true;
        while (try reader.nextMember(&is_first, name)) {
            if (name.equals("hint") and try reader.peekToken() == '"') {
                response.hint.clear();
                try reader.string(&response.hint);
            } else try reader.skip();
        }
    }
};
