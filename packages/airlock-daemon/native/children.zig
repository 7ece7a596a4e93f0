//! Reads the numbers in /proc/PID/task/TID/children (proc_pid_children(5)), which come in pieces.

const std = @import("std");

pub const Parser = struct {
    pid: i32 = 0,

    /// Take the next piece and add each number that ends in it to `list`, which has an
    /// `append(i32)`. The kernel puts a space after every number, the last one too.
    pub fn feed(parser: *Parser, piece: []const u8, list: anytype) void {
        for (piece) |byte| switch (byte) {
            '0'...'9' => parser.pid = parser.pid *| 10 +| (byte - '0'),
            else => {
                if (parser.pid > 0) list.append(parser.pid);
                parser.pid = 0;
            },
        };
    }
};

const Recorder = struct {
    pids: [8]i32 = undefined,
    count: usize = 0,

    fn append(recorder: *Recorder, pid: i32) void {
        recorder.pids[recorder.count] = pid;
        recorder.count += 1;
    }
};

fn expectPids(expected: []const i32, pieces: []const []const u8) !void {
    var recorder = Recorder{};
    var parser = Parser{};
    for (pieces) |piece| parser.feed(piece, &recorder);
    try std.testing.expectEqualSlices(i32, expected, recorder.pids[0..recorder.count]);
}

test "a list is read whole" {
    try expectPids(&.{}, &.{""});
    try expectPids(&.{7}, &.{"7 "});
    try expectPids(&.{ 12, 4194303, 9 }, &.{"12 4194303 9 "});
}

test "a number may be split between pieces anywhere" {
    const text = "12 4194303 9 ";
    for (0..text.len + 1) |cut|
        try expectPids(&.{ 12, 4194303, 9 }, &.{ text[0..cut], text[cut..] });
}

test "a number that does not end is not taken" {
    try expectPids(&.{12}, &.{"12 345"});
}

test "zero, which kill(2) takes for one's own group, is never a child" {
    try expectPids(&.{5}, &.{"0 5 0 \n"});
}

test "a number that is too large stays a positive one" {
    try expectPids(&.{std.math.maxInt(i32)}, &.{"99999999999999999999 "});
}
