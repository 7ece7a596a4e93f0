//! The command line of the service: `SERVICE_FD`.

const std = @import("std");

pub const usage = "airlock-launch SERVICE_FD";

pub const Fault = error{ WrongCount, BadDescriptor };

/// The daemon's socket, from the vector that the kernel gave the process.
pub fn parse(argv: []const [*:0]const u8) Fault!i32 {
    if (argv.len != 2) return error.WrongCount;
    return parseDescriptor(std.mem.span(argv[1])) orelse error.BadDescriptor;
}

/// What to tell a person about a fault.
pub fn describe(fault: Fault) []const u8 {
    return switch (fault) {
        error.WrongCount => "exactly one argument is needed",
        error.BadDescriptor => "SERVICE_FD must be a number above 2",
    };
}

/// Decimal digits alone; std.fmt would also take a sign and underscores.
fn parseDescriptor(digits: []const u8) ?i32 {
    var value: i32 = 0;
    for (digits) |digit| {
        if (digit < '0' or digit > '9') return null;
        value = std.math.mul(i32, value, 10) catch return null;
        value = std.math.add(i32, value, digit - '0') catch return null;
    }
    return if (value > 2) value else null;
}

test "the one argument is a descriptor" {
    try std.testing.expectEqual(3, try parse(&.{ "launch", "3" }));
    try std.testing.expectEqual(1024, try parse(&.{ "launch", "1024" }));
}

test "more or fewer arguments are refused" {
    try std.testing.expectError(error.WrongCount, parse(&.{}));
    try std.testing.expectError(error.WrongCount, parse(&.{"launch"}));
    try std.testing.expectError(error.WrongCount, parse(&.{ "launch", "3", "4" }));
}

test "standard descriptors and what is no number are refused" {
    inline for (.{ "2", "0", "-1", "", "3x", "+3", "1_0", "4294967299", "99999999999999999999" }) |bad|
        try std.testing.expectError(error.BadDescriptor, parse(&.{ "launch", bad }));
}
