//! The command line: `SERVICE_FD` for the service, `CONTROL_FD USER GROUP SOCKETS HOME DOORS_FD ADDRESSES
//! [FROM TO]...` for pid 1 of a box.

const std = @import("std");
const Home = @import("box.zig").Home;
const Identity = @import("box.zig").Identity;
const Sockets = @import("seccomp/install.zig").Sockets;

pub const usage = "airlock-launch FD [USER GROUP SOCKETS HOME DOORS_FD ADDRESSES [FROM TO]...]";

/// A `box` is there for its pid 1.
pub const Arguments = struct { socket: i32, box: ?Box = null };

/// Who is in a box, which sockets may be made there, its home (HOME is `-` for one in
/// memory, `kept`, or the path of the human's), what the daemon listens by in there (`-` for both where it does not), and
/// pairs: a path at which a mount was made, and where it is moved, after what must be there (`mounts.move`); `-` and the path of one in which no link is
/// to be followed; `r` and one at which nothing more may be made; `d` and /dev, which is to be made.
pub const Box = struct {
    identity: Identity,
    sockets: Sockets,
    home: Home,
    doors: ?Doors,
    pairs: []const [*:0]const u8,
};

/// The socket over which listeners are sent, and where they listen.
pub const Doors = struct { socket: i32, addresses: []const u8 };

pub const Fault = error{ WrongCount, BadDescriptor, BadIdentity, BadSockets, BadDoors };

/// The daemon's socket, from the vector that the kernel gave the process.
pub fn parse(argv: []const [*:0]const u8) Fault!Arguments {
    // The last ones are pairs.
    if (argv.len != 2 and (argv.len < 8 or argv.len % 2 == 1)) return error.WrongCount;
    const socket = parseNumber(std.mem.span(argv[1])) orelse return error.BadDescriptor;
    if (socket <= 2) return error.BadDescriptor;
    if (argv.len == 2) return .{ .socket = socket };
    const user = parseNumber(std.mem.span(argv[2])) orelse return error.BadIdentity;
    const group = parseNumber(std.mem.span(argv[3])) orelse return error.BadIdentity;
    const sockets = parseNumber(std.mem.span(argv[4])) orelse return error.BadSockets;
    return .{ .socket = socket, .box = .{
        .identity = .{ .user = @intCast(user), .group = @intCast(group) },
        .sockets = std.meta.intToEnum(Sockets, sockets) catch return error.BadSockets,
        .home = parseHome(argv[5]),
        .doors = try parseDoors(argv[6], argv[7]),
        .pairs = argv[8..],
    } };
}

fn parseHome(word: [*:0]const u8) Home {
    if (isNone(word)) return .fresh;
    return if (std.mem.orderZ(u8, word, "kept") == .eq) .kept else .{ .human = word };
}

fn parseDoors(descriptor: [*:0]const u8, addresses: [*:0]const u8) Fault!?Doors {
    if (isNone(descriptor) and isNone(addresses)) return null;
    const socket = parseNumber(std.mem.span(descriptor)) orelse return error.BadDoors;
    if (socket <= 2) return error.BadDoors;
    return .{ .socket = socket, .addresses = std.mem.span(addresses) };
}

fn isNone(word: [*:0]const u8) bool {
    return std.mem.eql(u8, std.mem.span(word), "-");
}

/// What to tell a person about a fault.
pub fn describe(fault: Fault) []const u8 {
    return switch (fault) {
        error.WrongCount => "one argument is needed, or seven and pairs of paths",
        error.BadDescriptor => "FD must be a number above 2",
        error.BadIdentity => "USER and GROUP must be numbers",
        error.BadSockets => "SOCKETS must be the number of a kind",
        error.BadDoors => "DOORS_FD must be a number above 2, or - like ADDRESSES",
    };
}

/// Decimal digits alone; std.fmt would also take a sign and underscores.
fn parseNumber(digits: []const u8) ?i32 {
    if (digits.len == 0) return null;
    var value: i32 = 0;
    for (digits) |digit| {
        if (digit < '0' or digit > '9') return null;
        value = std.math.mul(i32, value, 10) catch return null;
        value = std.math.add(i32, value, digit - '0') catch return null;
    }
    return value;
}
