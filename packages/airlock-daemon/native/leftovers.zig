//! What a tool leaves in its box's /tmp and home, which are in memory and gone with the box. The daemon
//! tells its client.

const std = @import("std");
const linux = std.os.linux;
const control = @import("control.zig");
const Reader = @import("directory.zig").Reader;
const failed = @import("errno.zig").failed;

pub const fresh_home = "/home/airlock";

/// A directory whose contents are lost, and the path by which the tool knows it.
const Place = struct { path: [*:0]const u8, descriptor: i32 = linux.AT.FDCWD };

var places = [_]Place{ .{ .path = "/tmp" }, .{ .path = fresh_home } };
var lost: []Place = &places;

// Names that were there before the tool, each behind the number of its place and with a zero byte. Most
// boxes have none.
var before: [32 * 1024]u8 = undefined;
var before_length: usize = 0;

/// What is written to the human's `home` goes to the directory `written`, which stays open.
pub fn lookIn(home: [*:0]const u8, written: i32) void {
    places[1] = .{ .path = home, .descriptor = written };
}

/// What is written to the home is kept.
pub fn passOverHome() void {
    lost = places[0..1];
}

/// The directory of `lookIn`.
pub fn lookedIn() ?i32 {
    return if (places[1].descriptor == linux.AT.FDCWD) null else places[1].descriptor;
}

/// Remember what is there, before there is a tool: the places at which something is mounted, and files
/// that were made for the tool. E2BIG where there is more than fits.
pub fn note() ?linux.E {
    for (lost, 0..) |*place, number| {
        var reader = open(place) orelse continue;
        defer _ = linux.close(reader.directory);
        while (reader.next()) |name| {
            if (before_length + name.len + 2 > before.len) return .@"2BIG";
            before[before_length] = @intCast(number);
            @memcpy(before[before_length + 1 ..][0..name.len], name);
            before[before_length + 1 + name.len] = 0;
            before_length += name.len + 2;
        }
    }
    return null;
}

/// Send the daemon what is there now and was not there before, as far as it fits into one message.
/// Nothing is sent where there is nothing.
pub fn tell(socket: i32) void {
    var message: [control.longest]u8 = undefined;
    message[0..4].* = .{ 'L', 0, 0, 0 };
    var length: usize = 4;
    for (lost, 0..) |*place, number| {
        var reader = open(place) orelse continue;
        defer _ = linux.close(reader.directory);
        while (reader.next()) |name| {
            if (wasThere(number, name)) continue;
            length += describe(place, reader.directory, name, message[length..]) orelse break;
        }
    }
    if (length > 4) control.sendBytes(socket, message[0..length]);
}

/// Write mode and path of an entry to `space`; how long that is, null where it does not fit.
fn describe(place: *const Place, directory: i32, name: [:0]const u8, space: []u8) ?usize {
    var found: linux.Statx = undefined;
    const asked = linux.STATX_TYPE | linux.STATX_MODE;
    // One that is gone meanwhile is no loss.
    if (failed(linux.statx(directory, name, linux.AT.SYMLINK_NOFOLLOW, asked, &found)) != null) return 0;
    const path = std.mem.span(place.path);
    const length = 4 + path.len + 1 + name.len + 1;
    if (length > space.len) return null;
    std.mem.writeInt(u32, space[0..4], found.mode, .little);
    @memcpy(space[4..][0..path.len], path);
    space[4 + path.len] = '/';
    @memcpy(space[4 + path.len + 1 ..][0 .. name.len + 1], name[0 .. name.len + 1]);
    return length;
}

fn wasThere(number: usize, name: []const u8) bool {
    var rest: []const u8 = before[0..before_length];
    while (rest.len > 0) {
        const end = 1 + std.mem.indexOfScalar(u8, rest[1..], 0).?;
        if (rest[0] == number and std.mem.eql(u8, rest[1..end], name)) return true;
        rest = rest[end + 1 ..];
    }
    return false;
}

/// Null where there is no such directory. The caller closes it.
fn open(place: *const Place) ?Reader {
    const path = if (place.descriptor == linux.AT.FDCWD) place.path else ".";
    const flags = linux.O{ .DIRECTORY = true, .NOFOLLOW = true, .CLOEXEC = true };
    const opened = linux.openat(place.descriptor, path, flags, 0);
    return if (failed(opened) == null) .{ .directory = @intCast(opened) } else null;
}
