//! Tests of how the daemon's messages are read (message.zig), cut into reads of any size.

const std = @import("std");
const message_module = @import("message.zig");
const output_module = @import("output.zig");
const response_module = @import("response.zig");
const Error = @import("json_reader.zig").Error;
const Event = message_module.Event;
const Message = message_module.Message;
const Pieces = @import("input.zig").Pieces;
const Reader = @import("json_reader.zig").Reader;
const Refusal = response_module.Refusal;
const Storage = message_module.Storage;

/// Reads until the response, and answers it. What is put out goes to `collected`.
fn receive(
    transcript: []const u8,
    size: usize,
    may_be_encoded: bool,
    collected: *output_module.Collected,
    storage: *Storage,
) Error!Event {
    var pieces: Pieces = .{ .text = transcript, .size = size };
    var buffer: [128]u8 = undefined;
    var input = pieces.input(&buffer);
    var reader: Reader = .{ .input = &input };
    var gathered: [256]u8 = undefined;
    var output = collected.output(&gathered);
    defer output.flush();
    var message = Message.init(&reader, &output, storage);
    message.parameters.may_be_encoded = may_be_encoded;
    while (true) {
        const event = try message.read();
        switch (event) {
            .exited, .refused => return event,
            .start, .credit, .other => {},
        }
        try reader.expect('\n', "a message is followed by something else on its line");
    }
}

fn receivePieces(transcript: []const u8, size: usize, storage: *Storage) Error!Event {
    var collected: output_module.Collected = .{};
    return receive(transcript, size, false, &collected, storage);
}

fn expectExit(status: u8, transcript: []const u8) !void {
    const storage = try std.testing.allocator.create(Storage);
    defer std.testing.allocator.destroy(storage);
    for (1..transcript.len + 1) |size| {
        const response = try receivePieces(transcript, size, storage);
        try std.testing.expectEqual(status, response.exited.status);
    }
}

fn expectRefusal(expected: Refusal, transcript: []const u8) !void {
    const storage = try std.testing.allocator.create(Storage);
    defer std.testing.allocator.destroy(storage);
    for (1..transcript.len + 1) |size| {
        const response = try receivePieces(transcript, size, storage);
        try std.testing.expectEqual(expected.code, response.refused.code);
        try std.testing.expectEqualStrings(expected.message, response.refused.message);
        try std.testing.expectEqualStrings(expected.hint, response.refused.hint);
    }
}

fn expectFault(expected: Error, transcript: []const u8) !void {
    const storage = try std.testing.allocator.create(Storage);
    defer std.testing.allocator.destroy(storage);
    for ([_]usize{ 1, 7, 1000 }) |size| {
        try std.testing.expectError(expected, receivePieces(transcript, size, storage));
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

fn expectOutput(expected: []const u8, may_be_encoded: bool, transcript: []const u8) !void {
    const storage = try std.testing.allocator.create(Storage);
    defer std.testing.allocator.destroy(storage);
    for (1..transcript.len) |size| {
        var collected: output_module.Collected = .{};
        const received = receive(transcript, size, may_be_encoded, &collected, storage);
        try std.testing.expectError(error.Ended, received);
        try std.testing.expectEqualStrings(expected, collected.text());
    }
}

test "output is decoded in any order of its members" {
    const transcript =
        \\{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout","data":"o"}}
        \\{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout","data":"ne\n", "x":[1]},"y":{}}
        \\{"method":"output", "params":{"encoding":null, "stream":"stderr", "data":"tw\u00f6"}, "id":0}
        \\{"params":{"data":"th","stream":"stdout"},"method":"output"}
        \\{"method":"output","params":{"data":"ree","stream":"stdout"}}
        \\{"method":"later","params":{"data":"x","stream":"stdout"}}
        \\{"params":{"data":"x","stream":"stdout"},"method":"later"}
        \\
    ;
    try expectOutput("one\n>twö<three", false, transcript);
    try expectOutput("one\n>twö<three", true, transcript);
}

test "output may be encoded where that is in use, wherever the encoding stands" {
    const transcript =
        \\{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout","encoding":"base64","data":"/w=="}}
        \\{"jsonrpc":"2.0","method":"output","params":{"stream":"stderr","encoding":"base64","data":"\/w\u003d="}}
        \\{"jsonrpc":"2.0","method":"output","params":{"stream":"stderr","data":"YWJj","encoding":"base64"}}
        \\{"params":{"data":"ZA==","encoding":"base64","stream":"stdout"},"method":"output"}
        \\{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout","data":"YWJj"}}
        \\{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout","data":"YWJj","encoding":null}}
        \\{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout","encoding":"base64","data":""}}
        \\
    ;
    try expectOutput("\xff>\xffabc<dYWJjYWJj", true, transcript);
    try expectOutput("/w==>/w==YWJj<ZA==YWJjYWJj", false, transcript);
}

test "a result tells the signal and what was taken of stdin" {
    const storage = try std.testing.allocator.create(Storage);
    defer std.testing.allocator.destroy(storage);
    const transcript =
        \\{"id":1,"result":{"signal":"SIGINT","stdin_bytes":7,"exit_code":130}}
    ;
    for (1..transcript.len + 1) |size| {
        const exit = (try receivePieces(transcript, size, storage)).exited;
        try std.testing.expectEqual(130, exit.status);
        try std.testing.expectEqualStrings("SIGINT", exit.signal);
        try std.testing.expectEqual(7, exit.stdin_bytes);
    }
    const other = "{\"result\":{\"signal\":null,\"stdin_bytes\":\"x\",\"exit_code\":0}}";
    const exit = (try receivePieces(other, 5, storage)).exited;
    try std.testing.expectEqualStrings("", exit.signal);
    try std.testing.expectEqual(null, exit.stdin_bytes);
}

fn readOne(text: []const u8, size: usize, storage: *Storage) Error!Event {
    var pieces: Pieces = .{ .text = text, .size = size };
    var buffer: [128]u8 = undefined;
    var input = pieces.input(&buffer);
    var reader: Reader = .{ .input = &input };
    var collected: output_module.Collected = .{};
    var gathered: [256]u8 = undefined;
    var output = collected.output(&gathered);
    var message = Message.init(&reader, &output, storage);
    return message.read();
}

test "start names the features in use and the credit, and more credit may follow" {
    const storage = try std.testing.allocator.create(Storage);
    defer std.testing.allocator.destroy(storage);
    const starts = [_][]const u8{
        \\{"jsonrpc":"2.0","method":"start","params":{"features":["stdin","later"],"stdin_credit":65536}}
        ,
        \\{"params":{"stdin_credit":65536,"features":["stdin"],"bytes":3,"data":"x"},"method":"start"}
    };
    for (starts) |text| for (1..text.len + 1) |size| {
        const start = (try readOne(text, size, storage)).start;
        try std.testing.expectEqual(@import("features.zig").Features{ .stdin = true }, start.features);
        try std.testing.expectEqual(65536, start.stdin_credit);
    };
    const more = "{\"jsonrpc\":\"2.0\",\"method\":\"credit\",\"params\":{\"bytes\":10}}";
    try std.testing.expectEqual(10, (try readOne(more, 9, storage)).credit);
}

test "output that is not what its encoding says is a fault" {
    const storage = try std.testing.allocator.create(Storage);
    defer std.testing.allocator.destroy(storage);
    for ([_][]const u8{
        \\{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout","encoding":"base64","data":"/w="}}
        ,
        \\{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout","data":"/","encoding":"base64"}}
        ,
        \\{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout","encoding":"hex","data":"00"}}
        ,
        \\{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout","data":"00","encoding":"hex"}}
    }) |transcript| {
        var collected: output_module.Collected = .{};
        const received = receive(transcript, 7, true, &collected, storage);
        try std.testing.expectError(error.Malformed, received);
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
