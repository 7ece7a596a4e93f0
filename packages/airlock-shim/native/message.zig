//! One message of the daemon's, read member by member.
//!
//! Output is passed on as it is decoded, so a notification may have any length. That takes no
//! more than knowing where it goes when its data begins: `method` and `stream` before `data`, as
//! our daemon sends them. In any other order the data is held, up to a bound.
//!
//! Members and notifications that are unknown here are skipped, and `id` is not looked at: there
//! is one request, and released daemons answer some errors with another one's.

const std = @import("std");
const Reader = @import("json_reader.zig").Reader;
const Error = @import("json_reader.zig").Error;
const Text = @import("text.zig").Text;
const output_module = @import("output.zig");
const response_module = @import("response.zig");
const Output = output_module.Output;
const Response = response_module.Response;
const Stream = output_module.Stream;

/// Memory for the strings of one message.
pub const Storage = struct {
    name: [64]u8,
    stream: [32]u8,
    message: [16 * 1024]u8,
    hint: [8 * 1024]u8,
    /// Data whose stream is not known yet.
    held: [4 * 1024 * 1024]u8,
};

pub const Message = struct {
    reader: *Reader,
    output: *Output,
    /// The name of a member, or of a method.
    name: Text,
    stream: Text,
    text: Text,
    hint: Text,
    held: Text,
    method: enum { absent, output, other } = .absent,
    /// The data of this message: not there, held, or on its way already.
    data: enum { absent, held, passed } = .absent,
    exit_code: ?i64 = null,
    code: ?i64 = null,

    pub fn init(reader: *Reader, output: *Output, storage: *Storage) Message {
        return .{
            .reader = reader,
            .output = output,
            .name = .{ .storage = &storage.name },
            .stream = .{ .storage = &storage.stream },
            .text = .{ .storage = &storage.message },
            .hint = .{ .storage = &storage.hint },
            .held = .{ .storage = &storage.held },
        };
    }

    /// Reads the next message, and passes it on if it is output; answers the response if it is
    /// that. Its texts last until the next call.
    pub fn read(message: *Message) Error!?Response {
        const reader = message.reader;
        message.reset();
        while (try reader.accept('\n')) {}
        if (message.acceptUsualStart()) |stream| {
            message.output.select(stream);
            try reader.restOfString(message.output);
            if (message.acceptBuffered("}}")) return null;
            message.method = .output;
            message.data = .passed;
            try message.readParamMembers(false);
            return message.readMembers(false);
        }
        try reader.expect('{', "a message is no JSON object");
        return message.readMembers(true);
    }

    /// Whether the message begins in just the way in which our daemon begins output, up to the
    /// data. To read no more than that off many short messages makes them several times faster.
    fn acceptUsualStart(message: *Message) ?Stream {
        const start = "{\"jsonrpc\":\"2.0\",\"method\":\"output\",\"params\":{\"stream\":\"";
        inline for (.{ Stream.stdout, Stream.stderr }) |stream| {
            const whole = start ++ @tagName(stream) ++ "\",\"data\":\"";
            if (message.acceptBuffered(whole)) return stream;
        }
        return null;
    }

    fn acceptBuffered(message: *Message, comptime expected: []const u8) bool {
        const input = message.reader.input;
        if (!std.mem.startsWith(u8, input.buffered(), expected)) return false;
        input.toss(expected.len);
        return true;
    }

    fn readMembers(message: *Message, from_start: bool) Error!?Response {
        const reader = message.reader;
        var is_first = from_start;
        while (try reader.nextMember(&is_first, &message.name)) {
            if (message.name.equals("method")) {
                message.name.clear();
                try reader.string(&message.name);
                message.method = if (message.name.equals("output")) .output else .other;
            } else if (message.name.equals("params")) {
                try message.readParams();
            } else if (message.name.equals("result")) {
                try message.readResult();
            } else if (message.name.equals("error")) {
                try message.readError();
            } else try reader.skip();
        }
        return message.conclude();
    }

    fn reset(message: *Message) void {
        for ([_]*Text{ &message.stream, &message.text, &message.hint, &message.held }) |text| {
            text.clear();
        }
        message.method = .absent;
        message.data = .absent;
        message.exit_code = null;
        message.code = null;
    }

    fn conclude(message: *Message) Error!?Response {
        if (message.code) |code| return .{ .refused = .{
            .code = code,
            .message = message.text.bytes(),
            .hint = message.hint.bytes(),
        } };
        if (message.exit_code) |code| return .{ .exited = std.math.cast(u8, code) orelse
            return message.reader.fail("an exit status is not between 0 and 255") };
        const reader = message.reader;
        switch (message.method) {
            .absent => return reader.fail("a message is no output, no result and no error"),
            .other => {},
            .output => switch (message.data) {
                .absent => return reader.fail("an output message has no data"),
                .held => message.passHeld(try message.target()),
                .passed => {},
            },
        }
        return null;
    }

    fn readParams(message: *Message) Error!void {
        const reader = message.reader;
        if (try reader.peekToken() != '{') return reader.skip();
        if (message.method == .other) return reader.skip();
        _ = try reader.accept('{');
        return message.readParamMembers(true);
    }

    fn readParamMembers(message: *Message, from_start: bool) Error!void {
        const reader = message.reader;
        var is_first = from_start;
        while (try reader.nextMember(&is_first, &message.name)) {
            if (message.name.equals("stream")) {
                message.stream.clear();
                try reader.string(&message.stream);
            } else if (message.name.equals("data")) {
                try message.readData();
            } else try reader.skip();
        }
    }

    fn readData(message: *Message) Error!void {
        if (message.method == .output and message.stream.length > 0) {
            message.output.select(try message.target());
            message.data = .passed;
            return message.reader.string(message.output);
        }
        message.held.clear();
        message.data = .held;
        try message.reader.string(&message.held);
        if (message.held.overflowed) {
            const problem = "more than 4 MiB of output comes before the name of its stream";
            return message.reader.fail(problem);
        }
    }

    fn target(message: *Message) Error!Stream {
        if (message.stream.overflowed) return message.reader.fail("output of an unknown stream");
        return Stream.named(message.stream.bytes()) orelse
            message.reader.fail("output of an unknown stream");
    }

    fn passHeld(message: *Message, stream: Stream) void {
        message.output.select(stream);
        message.output.write(message.held.bytes());
    }

    fn readResult(message: *Message) Error!void {
        const reader = message.reader;
        if (try reader.peekToken() != '{') return reader.skip();
        _ = try reader.accept('{');
        var is_first = true;
        while (try reader.nextMember(&is_first, &message.name)) {
            if (message.name.equals("exit_code")) {
                message.exit_code = try reader.integer();
            } else try reader.skip();
        }
        if (message.exit_code == null) return reader.fail("a result has no exit_code");
    }

    fn readError(message: *Message) Error!void {
        const reader = message.reader;
        if (try reader.peekToken() != '{') return reader.skip();
        _ = try reader.accept('{');
        var is_first = true;
        while (try reader.nextMember(&is_first, &message.name)) {
            if (message.name.equals("code")) {
                message.code = try reader.integer();
            } else if (message.name.equals("message")) {
                message.text.clear();
                try reader.string(&message.text);
            } else if (message.name.equals("data")) {
                try message.readErrorData();
            } else try reader.skip();
        }
        if (message.code == null) return reader.fail("an error has no code");
    }

    fn readErrorData(message: *Message) Error!void {
        const reader = message.reader;
        if (try reader.peekToken() != '{') return reader.skip();
        _ = try reader.accept('{');
        var is_first = true;
        while (try reader.nextMember(&is_first, &message.name)) {
            const is_hint = message.name.equals("hint") and try reader.peekToken() == '"';
            if (!is_hint) {
                try reader.skip();
                continue;
            }
            message.hint.clear();
            try reader.string(&message.hint);
        }
    }
};
