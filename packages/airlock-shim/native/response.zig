//! What the daemon sends while and after it runs the command: `output` notifications, then one
//! response. Each message is one line.

const std = @import("std");
const Reader = @import("json_reader.zig").Reader;
const Error = @import("json_reader.zig").Error;
const message_module = @import("message.zig");
const Message = message_module.Message;
const Output = @import("output.zig").Output;
pub const Storage = message_module.Storage;

/// How the session ended.
pub const Response = union(enum) {
    /// The command ran; its exit status.
    exited: u8,
    /// It did not.
    refused: Refusal,
};

/// The daemon's error. The texts live in the `Storage`, and may have been cut.
pub const Refusal = struct {
    code: i64,
    message: []const u8,
    /// What to do about it; empty where the daemon does not say.
    hint: []const u8,
};

/// Reads messages until the response, and passes output on to `output`.
pub fn receive(reader: *Reader, output: *Output, storage: *Storage) Error!Response {
    var message = Message.init(reader, output, storage);
    while (true) {
        if (try message.read()) |response| return response;
        try reader.expect('\n', "a message is followed by something else on its line");
    }
}

const Pieces = @import("input.zig").Pieces;

/// What a transcript that is cut into reads of `size` bytes gives.
fn receivePieces(
    transcript: []const u8,
    size: usize,
    stdout: []u8,
    storage: *Storage,
) Error!Response {
    var pieces: Pieces = .{ .text = transcript, .size = size };
    var buffer: [32]u8 = undefined;
    var input = pieces.input(&buffer);
    var reader: Reader = .{ .input = &input };
    // Larger than the output of any of the tests, so that nothing is really written.
    var output: Output = .{ .buffer = stdout };
    defer output.length = 0;
    return receive(&reader, &output, storage);
}

fn expectExit(status: u8, transcript: []const u8) !void {
    const storage = try std.testing.allocator.create(Storage);
    defer std.testing.allocator.destroy(storage);
    var stdout: [256]u8 = undefined;
    for (1..transcript.len + 1) |size| {
        const response = try receivePieces(transcript, size, &stdout, storage);
        try std.testing.expectEqual(status, response.exited);
    }
}

fn expectRefusal(expected: Refusal, transcript: []const u8) !void {
    const storage = try std.testing.allocator.create(Storage);
    defer std.testing.allocator.destroy(storage);
    var stdout: [256]u8 = undefined;
    for (1..transcript.len + 1) |size| {
        const response = try receivePieces(transcript, size, &stdout, storage);
        try std.testing.expectEqual(expected.code, response.refused.code);
        try std.testing.expectEqualStrings(expected.message, response.refused.message);
        try std.testing.expectEqualStrings(expected.hint, response.refused.hint);
    }
}

fn expectFault(expected: Error, transcript: []const u8) !void {
    const storage = try std.testing.allocator.create(Storage);
    defer std.testing.allocator.destroy(storage);
    var stdout: [256]u8 = undefined;
    for ([_]usize{ 1, 7, 1000 }) |size| {
        try std.testing.expectError(expected, receivePieces(transcript, size, &stdout, storage));
    }
}

test "a result is an exit status, wherever its members stand" {
    try expectExit(0,
        \\{"jsonrpc":"2.0","id":1,"result":{"exit_code":0}}
    );
    try expectExit(141,
        \\ { "result" : { "x" : [ {} ] , "exit_code" : 141 } , "id" : 0 , "error" : null }
    );
    try expectExit(3, "\n\r\n{\"result\":{\"exit_code\":3}}\n");
}

test "an error has a code, a message and perhaps a hint" {
    try expectRefusal(.{ .code = -32600, .message = "no", .hint = "" },
        \\{"jsonrpc":"2.0","id":0,"error":{"code":-32600,"message":"no"}}
    );
    try expectRefusal(.{ .code = -32601, .message = "unknown é", .hint = "enable it" },
        \\{"error":{"data":{"more":{"hint":"x"},"hint":"enable it"},"message":"unknown \u00e9","code":-32601}}
    );
    try expectRefusal(.{ .code = 1, .message = "", .hint = "" },
        \\{"error":{"code":1,"data":"text"}}
    );
}

test "unknown notifications and unknown members are skipped" {
    try expectExit(7,
        \\{"jsonrpc":"2.0","method":"start","params":{"data":"not output","stream":"stdout"}}
        \\{"params":[1,2],"method":"later","x":{"method":"output"}}
        \\{"id":1,"result":{"exit_code":7}}
    );
}

test "output is decoded in any order of its members" {
    const storage = try std.testing.allocator.create(Storage);
    defer std.testing.allocator.destroy(storage);
    const transcript =
        \\{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout","data":"o"}}
        \\{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout","data":"ne\n", "x":[1]},"y":{}}
        \\{"method":"output", "params":{"encoding":null, "stream":"stdout", "data":"tw\u00f6"}, "id":0}
        \\
    ;
    for (1..transcript.len) |size| {
        var stdout: [256]u8 = undefined;
        var pieces: Pieces = .{ .text = transcript, .size = size };
        var buffer: [32]u8 = undefined;
        var input = pieces.input(&buffer);
        var reader: Reader = .{ .input = &input };
        var output: Output = .{ .buffer = &stdout };
        try std.testing.expectError(error.Ended, receive(&reader, &output, storage));
        try std.testing.expectEqualStrings("one\ntwö", stdout[0..output.length]);
    }
}

test "what the protocol does not have is a fault" {
    for ([_][]const u8{
        "HTTP/1.1 400 Bad Request\r\n",
        "[]\n",
        "{}\n",
        "{\"id\":1,\"result\":null}\n",
        "{\"id\":1,\"result\":{}}\n",
        "{\"id\":1,\"result\":{\"exit_code\":256}}\n",
        "{\"id\":1,\"result\":{\"exit_code\":-1}}\n",
        "{\"id\":1,\"result\":{\"exit_code\":\"0\"}}\n",
        "{\"id\":1,\"error\":{\"message\":\"x\"}}\n",
        "{\"method\":\"output\",\"params\":{\"stream\":\"stdin\",\"data\":\"x\"}}\n",
        "{\"method\":\"output\",\"params\":{\"data\":\"x\"}}\n",
        "{\"method\":\"output\",\"params\":{\"stream\":\"stdout\"}}\n",
        "{\"method\":\"later\"} {\"id\":1,\"result\":{\"exit_code\":0}}\n",
        "{\"method\":\"output\",\"params\":{\"stream\":\"stdout\",\"data\":\"\x01\"}}\n",
    }) |transcript| try expectFault(error.Malformed, transcript);
}

test "a connection that ends before the response is told apart" {
    for ([_][]const u8{
        "",
        "\n",
        "{\"method\":\"later\"}\n",
        "{\"method\":\"output\",\"params\":{\"stream\":\"stdout\",\"data\":\"x",
        "{\"id\":1,\"result\":{\"exit_code\":0}",
    }) |transcript| try expectFault(error.Ended, transcript);
}
