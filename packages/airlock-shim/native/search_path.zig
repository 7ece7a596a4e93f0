//! PATH of a container whose agent has APIs: tools of the host that run there in a box come last, so that
//! the image's own are found before them.

const std = @import("std");
const system = @import("system.zig");

/// Where the links for such tools are mounted.
const host_commands = "/opt/airlock-host-commands";

var storage: [64 * 1024]u8 = undefined;

/// Puts that directory at the end of PATH in `environment`, if it is there and PATH has it not.
pub fn complete(environment: []const [*:0]const u8) void {
    if (!system.isDirectory(host_commands)) return;
    // The vector of the process's own, which its program may change (environ(7)).
    for (@constCast(environment)) |*entry| {
        const text = std.mem.span(entry.*);
        if (!std.mem.startsWith(u8, text, "PATH=")) continue;
        if (extend(text, &storage)) |extended| entry.* = extended;
        return;
    }
}

/// The entry with the directory behind it; null where it has that, or does not fit.
fn extend(entry: []const u8, buffer: []u8) ?[:0]const u8 {
    var directories = std.mem.splitScalar(u8, entry["PATH=".len..], ':');
    while (directories.next()) |directory| {
        if (std.mem.eql(u8, directory, host_commands)) return null;
    }
    return std.fmt.bufPrintZ(buffer, "{s}:{s}", .{ entry, host_commands }) catch null;
}

test "the directory comes last, and once" {
    var buffer: [256]u8 = undefined;
    const extended = extend("PATH=/usr/bin:/bin", &buffer).?;
    try std.testing.expectEqualStrings("PATH=/usr/bin:/bin:" ++ host_commands, extended);
    var other: [256]u8 = undefined;
    try std.testing.expect(extend(extended, &other) == null);
    try std.testing.expect(extend("PATH=/usr/bin", buffer[0..20]) == null);
}
