const std = @import("std");
const Limits = @import("../limits.zig").Limits;
const orders = @import("../order.zig");
const Fence = orders.Fence;
const Vector = orders.Vector;
const decode = orders.decode;
const decodeHeader = orders.decodeHeader;
const header_size = orders.header_size;
const same = orders.same;

fn encodeHeader(argc: u32, envc: u32, terminal: u32, length: u32) [header_size]u8 {
    var header: [header_size]u8 = undefined;
    std.mem.writeInt(u32, header[0..4], argc, .little);
    std.mem.writeInt(u32, header[4..8], envc, .little);
    std.mem.writeInt(u64, header[8..16], 1 << 40, .little);
    std.mem.writeInt(u32, header[16..20], terminal, .little);
    std.mem.writeInt(u32, header[20..24], length, .little);
    std.mem.writeInt(u32, header[24..28], 0, .little);
    std.mem.writeInt(u32, header[28..32], same, .little);
    std.mem.writeInt(u32, header[32..36], same, .little);
    for ([_]u32{ same, 0, 0, 0, 0, 0, 0 }, 9..) |number, index|
        std.mem.writeInt(u32, header[index * 4 ..][0..4], number, .little);
    for ([_]u64{ 1, 2, 3, 4 }, 8..) |number, index|
        std.mem.writeInt(u64, header[index * 8 ..][0..8], number, .little);
    return header;
}

fn expectVector(expected: []const []const u8, vector: Vector) !void {
    for (expected, 0..) |word, index| try std.testing.expectEqualStrings(word, std.mem.span(vector[index].?));
    try std.testing.expectEqual(null, vector[expected.len]);
}

test "an order is read whole and its strings stay where they are" {
    const text = "/bin/git\x00git\x00\x00A=1\x00";
    const header = decodeHeader(&encodeHeader(2, 1, 5, text.len)).?;
    var space: [5]?[*:0]const u8 = undefined;
    try std.testing.expectEqual(space.len, header.pointers());
    const order = decode(header, text, &space).?;
    try std.testing.expectEqual(@intFromPtr(text), @intFromPtr(order.program));
    try std.testing.expectEqualStrings("/bin/git", std.mem.span(order.program));
    try expectVector(&.{ "git", "" }, order.arguments);
    try expectVector(&.{"A=1"}, order.environment);
    try std.testing.expectEqual(1 << 40, order.header.open_files);
    try std.testing.expectEqual(5, order.header.terminal);
    try std.testing.expectEqual(Limits{ .processes = 1, .data = 2, .file_size = 3, .open_files = 4 }, order.header.limits);
}

test "a header that is short, or that cannot be true, is refused" {
    try std.testing.expectEqual(null, decodeHeader(encodeHeader(1, 0, 0, 2)[0 .. header_size - 1]));
    try std.testing.expectEqual(null, decodeHeader(&encodeHeader(0, 0, 0, 9)));
    try std.testing.expectEqual(null, decodeHeader(&encodeHeader(1, 0, 8, 9)));
    try std.testing.expectEqual(null, decodeHeader(&encodeHeader(5, 4, 0, 9)));
    try std.testing.expectEqual(null, decodeHeader(&encodeHeader(0xffff_ffff, 0xffff_ffff, 0, 0xffff_ffff)));
    try std.testing.expect(decodeHeader(&encodeHeader(4, 4, 7, 9)) != null);
}

test "a user without a group, or a group without a user, is refused" {
    inline for (.{ 28, 32 }) |place| {
        var header = encodeHeader(1, 0, 0, 2);
        std.mem.writeInt(u32, header[place..][0..4], 1000, .little);
        try std.testing.expectEqual(null, decodeHeader(&header));
    }
}

test "a fence has a number of rules of each kind, and sockets of a kind that there is" {
    var header = encodeHeader(1, 0, 0, 2);
    for ([_]u32{ 1, 3, 2, 255, 4, 1 }, 9..) |number, index|
        std.mem.writeInt(u32, header[index * 4 ..][0..4], number, .little);
    const read = decodeHeader(&header).?;
    const found = Fence{ .sockets = .inet, .read = 3, .written = 2, .used = 255, .opened = 4, .hidden = 1 };
    try std.testing.expectEqual(found, read.fence.?);
    try std.testing.expectEqual(265, read.further());
    for (10..15) |index| {
        const number = header[index * 4 ..][0..4];
        const before = number.*;
        std.mem.writeInt(u32, number, 256, .little);
        try std.testing.expectEqual(null, decodeHeader(&header));
        number.* = before;
    }
    std.mem.writeInt(u32, header[36..40], 99, .little);
    try std.testing.expectEqual(null, decodeHeader(&header));
    try std.testing.expectEqual(0, decodeHeader(&encodeHeader(1, 0, 0, 2)).?.further());
}

test "a cgroup is one descriptor more, or none" {
    var header = encodeHeader(1, 0, 0, 2);
    try std.testing.expectEqual(false, decodeHeader(&header).?.has_cgroup);
    std.mem.writeInt(u32, header[60..64], 1, .little);
    try std.testing.expectEqual(1, decodeHeader(&header).?.further());
    std.mem.writeInt(u32, header[60..64], 2, .little);
    try std.testing.expectEqual(null, decodeHeader(&header));
}

test "strings that are too few, too many or not ended are refused" {
    const header = decodeHeader(&encodeHeader(1, 1, 0, 6)).?;
    var space: [4]?[*:0]const u8 = undefined;
    try std.testing.expect(decode(header, "p\x00a\x00e\x00", &space) != null);
    inline for (.{ "pp\x00aa\x00", "p\x00\x00\x00a\x00", "p\x00a\x00ee", "p\x00a\x00e", "p\x00a\x00e\x00\x00", "" }) |bad|
        try std.testing.expectEqual(null, decode(header, bad, &space));
}
