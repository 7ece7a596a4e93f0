const std = @import("std");
const Parser = @import("../children.zig").Parser;

const Recorder = struct {
    pids: [8]i32 = undefined,
    count: usize = 0,

    pub fn append(recorder: *Recorder, pid: i32) void {
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
