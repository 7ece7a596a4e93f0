const std = @import("std");
const box = @import("../box.zig");
const command_line = @import("../command_line.zig");
const Arguments = command_line.Arguments;
const Home = box.Home;
const Identity = box.Identity;
const Sockets = @import("../seccomp/install.zig").Sockets;
const parse = command_line.parse;

test "the first argument is a descriptor" {
    try std.testing.expectEqual(Arguments{ .socket = 3 }, try parse(&.{ "launch", "3" }));
    try std.testing.expectEqual(1024, (try parse(&.{ "launch", "1024" })).socket);
    const boxed = (try parse(&.{ "launch", "5", "0", "2147483647", "2", "-", "-", "-", "/from", "/to" })).box.?;
    try std.testing.expectEqual(Identity{ .user = 0, .group = 2147483647 }, boxed.identity);
    try std.testing.expectEqual(Sockets.unix, boxed.sockets);
    try std.testing.expectEqual(Home.fresh, boxed.home);
    try std.testing.expectEqual(null, boxed.doors);
    try std.testing.expectEqualStrings("/to", std.mem.span(boxed.pairs[1]));
    const at_home = (try parse(&.{ "launch", "5", "0", "0", "0", "/home/me", "7", "127.0.0.1:1" })).box.?;
    try std.testing.expectEqualStrings("/home/me", std.mem.span(at_home.home.human));
    try std.testing.expectEqual(7, at_home.doors.?.socket);
    const kept = (try parse(&.{ "launch", "5", "0", "0", "0", "kept", "-", "-" })).box.?;
    try std.testing.expectEqual(Home.kept, kept.home);
    try std.testing.expectEqualStrings("127.0.0.1:1", at_home.doors.?.addresses);
}

test "more or fewer arguments are refused" {
    try std.testing.expectError(error.WrongCount, parse(&.{}));
    try std.testing.expectError(error.WrongCount, parse(&.{"launch"}));
    try std.testing.expectError(error.WrongCount, parse(&.{ "launch", "3", "4" }));
    try std.testing.expectError(error.WrongCount, parse(&.{ "launch", "3", "4", "5", "0" }));
    try std.testing.expectError(error.WrongCount, parse(&.{ "launch", "3", "4", "5", "0", "-", "-", "-", "/from" }));
    inline for (.{ "", "-1", "x", "2147483648" }) |bad| {
        try std.testing.expectError(error.BadIdentity, parse(&.{ "launch", "3", "4", bad, "0", "-", "-", "-" }));
        try std.testing.expectError(error.BadSockets, parse(&.{ "launch", "3", "4", "5", bad, "-", "-", "-" }));
    }
    try std.testing.expectError(error.BadSockets, parse(&.{ "launch", "3", "4", "5", "256", "-", "-", "-" }));
    inline for (.{ "2", "", "x", "-" }) |bad|
        try std.testing.expectError(error.BadDoors, parse(&.{ "launch", "3", "4", "5", "0", "-", bad, "127.0.0.1:1" }));
}

test "standard descriptors and what is no number are refused" {
    inline for (.{ "2", "0", "-1", "", "3x", "+3", "1_0", "4294967299", "99999999999999999999" }) |bad|
        try std.testing.expectError(error.BadDescriptor, parse(&.{ "launch", bad }));
}
