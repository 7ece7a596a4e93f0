const std = @import("std");
const places = @import("../place.zig");
const decode = places.decode;
const fixed_size = places.fixed_size;

fn encode(directory: []const u8, length: u32, buffer: *[64]u8) []const u8 {
    std.mem.writeInt(u32, buffer[0..4], 253, .little);
    std.mem.writeInt(u32, buffer[4..8], 1, .little);
    std.mem.writeInt(u64, buffer[8..16], 1 << 40, .little);
    std.mem.writeInt(u32, buffer[16..20], length, .little);
    @memcpy(buffer[fixed_size..][0..directory.len], directory);
    return buffer[0 .. fixed_size + directory.len];
}

test "what stands before an order is read, and the order is left" {
    var buffer: [64]u8 = undefined;
    var rest: []const u8 = undefined;
    const place = decode(encode("/workspace\x00order", 11, &buffer), &rest).?;
    try std.testing.expectEqualStrings("/workspace", std.mem.span(place.directory));
    try std.testing.expectEqual(253, place.major);
    try std.testing.expectEqual(1, place.minor);
    try std.testing.expectEqual(1 << 40, place.inode);
    try std.testing.expectEqualStrings("order", rest);
}

test "a directory that is not ended, is cut, or ends early is refused" {
    var buffer: [64]u8 = undefined;
    var rest: []const u8 = undefined;
    inline for (.{ .{ "/w\x00", 2 }, .{ "/w\x00", 4 }, .{ "/w\x00", 0 }, .{ "/\x00w\x00", 4 } }) |bad|
        try std.testing.expectEqual(null, decode(encode(bad[0], bad[1], &buffer), &rest));
    try std.testing.expectEqual(null, decode(buffer[0 .. fixed_size - 1], &rest));
    try std.testing.expect(decode(encode("/w\x00", 3, &buffer), &rest) != null);
}
