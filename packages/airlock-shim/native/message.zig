//! One message of the daemon's, read member by member.
//!
//! Members and notifications that are unknown here are skipped, and `id` is not looked at: there
//! is one request, and released daemons answer some errors with another one's.

const std = @import("std");
const parameters_module = @import("parameters.zig");
const response_module = @import("response.zig");
const Reader = @import("json_reader.zig").Reader;
const Error = @import("json_reader.zig").Error;
const Features = @import("features.zig").Features;
const Output = @import("output.zig").Output;
const Parameters = parameters_module.Parameters;
const Response = response_module.Response;
const Stream = @import("output.zig").Stream;
const Text = @import("text.zig").Text;

/// Memory for the strings of one message.
pub const Storage = struct {
    name: [64]u8,
    parameters: parameters_module.Storage,
    response: response_module.Storage,
};

/// What a message says. Texts live in the `Storage`, and may have been cut.
pub const Event = union(enum) {
    /// Output, which was passed on, or something that is unknown here.
    other,
    /// The daemon begins, with what it will use.
    start: Start,
    /// So many more bytes of stdin may be sent.
    credit: u64,
    exited: response_module.Exit,
    refused: response_module.Refusal,
};

/// The daemon runs the command.
pub const Start = struct {
    features: Features = .{},
    /// How many bytes of stdin may be sent to begin with.
    stdin_credit: u64 = 0,
};

pub const Message = struct {
    reader: *Reader,
    /// The name of a member, a method or a feature.
    name: Text,
    method: parameters_module.Method = .absent,
    parameters: Parameters,
    response: Response,

    pub fn init(reader: *Reader, output: *Output, storage: *Storage) Message {
        return .{
            .reader = reader,
            .name = .{ .storage = &storage.name },
            .parameters = .init(reader, output, &storage.parameters),
            .response = .init(&storage.response),
        };
    }

    /// Reads the next message, up to its line feed, and passes it on if it is output. Its texts
    /// last until the next call.
    pub fn read(message: *Message) Error!Event {
        const reader = message.reader;
        // Empty lines between messages mean nothing.
        while (try reader.peekToken() == '\n') reader.input.toss(1);
        message.method = .absent;
        message.parameters.clear();
        message.response.clear();
        if (message.acceptUsualStart()) {
            message.method = .output;
            try message.parameters.readData(.output);
            if (message.acceptBuffered("}}")) return message.conclude();
            try message.parameters.readMembers(.output, false, &message.name);
            return message.readMembers(false);
        }
        try reader.expect('{', "a message is no JSON object");
        return message.readMembers(true);
    }

    /// Whether the message begins in just the way in which our daemon begins output, up to the
    /// data. To read no more than that off many short messages makes them several times faster.
    fn acceptUsualStart(message: *Message) bool {
        const start = "{\"jsonrpc\":\"2.0\",\"method\":\"output\",\"params\":{\"stream\":\"";
        inline for (.{ Stream.stdout, Stream.stderr }) |stream| {
            const common = start ++ @tagName(stream) ++ "\",";
            if (message.acceptBuffered(common ++ "\"data\":")) {
                message.parameters.set(stream, null);
                return true;
            }
            if (message.acceptBuffered(common ++ "\"encoding\":\"base64\",\"data\":")) {
                message.parameters.set(stream, "base64");
                return true;
            }
        }
        return false;
    }

    fn acceptBuffered(message: *Message, comptime expected: []const u8) bool {
        const input = message.reader.input;
        if (!std.mem.startsWith(u8, input.buffered(), expected)) return false;
        input.toss(expected.len);
        return true;
    }

    fn readMembers(message: *Message, from_start: bool) Error!Event {
        const reader = message.reader;
        var is_first = from_start;
        while (try reader.nextMember(&is_first, &message.name)) {
            if (message.name.equals("method")) {
                message.name.clear();
                try reader.string(&message.name);
                message.method = message.methodNamed();
            } else if (message.name.equals("params")) {
                try message.readParams();
            } else if (message.name.equals("result")) {
                try message.response.readResult(reader, &message.name);
            } else if (message.name.equals("error")) {
                try message.response.readError(reader, &message.name);
            } else try reader.skip();
        }
        return message.conclude();
    }

    fn methodNamed(message: *const Message) parameters_module.Method {
        if (message.name.equals("output")) return .output;
        if (message.name.equals("start")) return .start;
        return if (message.name.equals("credit")) .credit else .other;
    }

    fn readParams(message: *Message) Error!void {
        if (message.method == .other) return message.reader.skip();
        if (!try message.reader.acceptObject()) return;
        try message.parameters.readMembers(message.method, true, &message.name);
    }

    fn conclude(message: *Message) Error!Event {
        const parameters = &message.parameters;
        if (message.response.refusal()) |refusal| return .{ .refused = refusal };
        if (try message.response.exit(message.reader)) |exit| return .{ .exited = exit };
        switch (message.method) {
            .absent => return message.reader.fail(
                "a message is no output, no result and no error",
            ),
            .output => try parameters.concludeOutput(),
            .other => parameters.output.drop(),
            .credit => return .{ .credit = parameters.credit },
            .start => return .{ .start = .{
                .features = parameters.features,
                .stdin_credit = parameters.stdin_credit,
            } },
        }
        return .other;
    }
};
