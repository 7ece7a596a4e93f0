//! What the daemon says about a command that is to run: a header and strings, in one message or with
//! the strings in a file of memory.

const std = @import("std");
const Limits = @import("limits.zig").Limits;
const Sockets = @import("seccomp/install.zig").Sockets;

/// Numbers, little-endian: u32 argc, u32 envc, u64 nofile, u32 terminal, u32 length, u32 kept, u32
/// user, u32 group, then those of the fence: u32 sockets, u32 read, u32 written, u32 used,
/// u32 opened, u32 hidden; u32 cgroup; and the limits: u64 processes, u64 data, u64 file size, u64
/// open files.
pub const header_size = 96;

/// As `user` and `group`: the tool stays who the launcher is. As `sockets`: it has no fence.
pub const same = std.math.maxInt(u32);

/// A null-terminated array of strings, as execve(2) takes it.
pub const Vector = [*:null]const ?[*:0]const u8;

pub const Header = struct {
    argc: u32,
    envc: u32,
    /// The tool's soft limit of open files; the daemon has raised its own.
    open_files: u64,
    /// Which of the tool's three descriptors are one pseudo-terminal: the bits 1, 2 and 4.
    terminal: u3,
    /// Of all strings together, each with its zero byte.
    length: u32,
    /// How many descriptors the tool has above 2, from 3 on.
    kept: u32,
    /// Whom the tool runs as; `same` for both, or for none.
    user: u32,
    group: u32,
    fence: ?Fence,
    /// Whether the tool starts in a cgroup, of which there is a descriptor.
    has_cgroup: bool,
    limits: Limits,

    /// How many descriptors go with the order beside those of every order, but for a file of memory.
    pub fn further(header: Header) usize {
        const rules = if (header.fence) |fence| fence.rules() else 0;
        return header.kept + rules + @intFromBool(header.has_cgroup);
    }

    /// How many pointers the two vectors take, with the null at the end of each.
    pub fn pointers(header: Header) usize {
        return @as(usize, header.argc) + header.envc + 2;
    }
};

/// What a tool that has no namespaces of its own is confined by: a filter, and Landlock. So many
/// descriptors name files and directories that it may read, change, and use as devices; all others are
/// out of its reach. It may also read all that lies in the directories that are `opened`, but not these
/// themselves, nor what is `hidden` or opened in its turn.
pub const Fence = struct {
    sockets: Sockets,
    read: u8,
    written: u8,
    used: u8,
    opened: u8 = 0,
    hidden: u8 = 0,

    pub fn rules(fence: Fence) usize {
        return @as(usize, fence.read) + fence.written + fence.used + fence.opened + fence.hidden;
    }
};

pub const Order = struct {
    /// The path of the program to execute; nothing searches PATH for it.
    program: [*:0]const u8,
    /// The tool's argument vector, ARGV0 first.
    arguments: Vector,
    /// `NAME=value` each; nothing checks that.
    environment: Vector,
    open_files: u64,
    terminal: u3,
    kept: u32,
    user: u32,
    group: u32,
    fence: ?Fence,
    has_cgroup: bool,
    /// For a tool in a box or behind a fence.
    limits: Limits,
    /// Whether strings or vectors lie in memory that was mapped for them.
    has_memory: bool = false,
};

/// Read the header of a message; null if it is none. A tool without ARGV0 is refused here.
pub fn decodeHeader(message: []const u8) ?Header {
    if (message.len < header_size) return null;
    const terminal = std.mem.readInt(u32, message[16..20], .little);
    const header = Header{
        .argc = std.mem.readInt(u32, message[0..4], .little),
        .envc = std.mem.readInt(u32, message[4..8], .little),
        .open_files = std.mem.readInt(u64, message[8..16], .little),
        .terminal = std.math.cast(u3, terminal) orelse return null,
        .length = std.mem.readInt(u32, message[20..24], .little),
        .kept = std.mem.readInt(u32, message[24..28], .little),
        .user = std.mem.readInt(u32, message[28..32], .little),
        .group = std.mem.readInt(u32, message[32..36], .little),
        .fence = if (std.mem.readInt(u32, message[36..40], .little) == same)
            null
        else
            decodeFence(message[36..60]) orelse return null,
        .has_cgroup = switch (std.mem.readInt(u32, message[60..64], .little)) {
            0 => false,
            1 => true,
            else => return null,
        },
        .limits = .{
            .processes = std.mem.readInt(u64, message[64..72], .little),
            .data = std.mem.readInt(u64, message[72..80], .little),
            .file_size = std.mem.readInt(u64, message[80..88], .little),
            .open_files = std.mem.readInt(u64, message[88..96], .little),
        },
    };
    // One without the other would leave a tool half of what the launcher is.
    if ((header.user == same) != (header.group == same)) return null;
    // Each string has a zero byte at least, the program's too.
    if (header.argc == 0 or header.pointers() > @as(usize, header.length) + 1) return null;
    return header;
}

fn decodeFence(numbers: *const [24]u8) ?Fence {
    const sockets = std.mem.readInt(u32, numbers[0..4], .little);
    return .{
        .sockets = std.meta.intToEnum(Sockets, sockets) catch return null,
        .read = std.math.cast(u8, std.mem.readInt(u32, numbers[4..8], .little)) orelse return null,
        .written = std.math.cast(u8, std.mem.readInt(u32, numbers[8..12], .little)) orelse return null,
        .used = std.math.cast(u8, std.mem.readInt(u32, numbers[12..16], .little)) orelse return null,
        .opened = std.math.cast(u8, std.mem.readInt(u32, numbers[16..20], .little)) orelse return null,
        .hidden = std.math.cast(u8, std.mem.readInt(u32, numbers[20..24], .little)) orelse return null,
    };
}

/// Find the strings in `text`; null if they are not exactly as many as `header` says. `space` takes
/// `header.pointers()` pointers, and they point into `text`.
pub fn decode(header: Header, text: []const u8, space: []?[*:0]const u8) ?Order {
    if (text.len != header.length) return null;
    var rest = text;
    const program = takeString(&rest) orelse return null;
    const arguments = space[0 .. header.argc + 1];
    const environment = space[arguments.len..header.pointers()];
    if (!takeStrings(&rest, arguments) or !takeStrings(&rest, environment)) return null;
    if (rest.len != 0) return null;
    return .{
        .program = program,
        .arguments = @ptrCast(arguments.ptr),
        .environment = @ptrCast(environment.ptr),
        .open_files = header.open_files,
        .terminal = header.terminal,
        .kept = header.kept,
        .user = header.user,
        .group = header.group,
        .fence = header.fence,
        .has_cgroup = header.has_cgroup,
        .limits = header.limits,
    };
}

fn takeStrings(rest: *[]const u8, vector: []?[*:0]const u8) bool {
    for (vector[0 .. vector.len - 1]) |*pointer| pointer.* = takeString(rest) orelse return false;
    vector[vector.len - 1] = null;
    return true;
}

fn takeString(rest: *[]const u8) ?[*:0]const u8 {
    const end = std.mem.indexOfScalar(u8, rest.*, 0) orelse return null;
    const string = rest.*[0..end :0];
    rest.* = rest.*[end + 1 ..];
    return string.ptr;
}

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
    try std.testing.expectEqual(1 << 40, order.open_files);
    try std.testing.expectEqual(5, order.terminal);
    try std.testing.expectEqual(Limits{ .processes = 1, .data = 2, .file_size = 3, .open_files = 4 }, order.limits);
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
