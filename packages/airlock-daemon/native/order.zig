//! What the daemon says about a command that is to run: a header and strings, in one message or with
//! the strings in a file of memory.

const std = @import("std");
const Limits = @import("limits.zig").Limits;
const Sockets = @import("seccomp/install.zig").Sockets;

/// A header as it is sent; both processors are little-endian.
const Numbers = extern struct {
    argc: u32,
    envc: u32,
    open_files: u64,
    terminal: u32,
    length: u32,
    kept: u32,
    user: u32,
    group: u32,
    sockets: u32,
    read: u32,
    written: u32,
    used: u32,
    opened: u32,
    hidden: u32,
    cgroup: u32,
    limits: Limits,
};

pub const header_size = @sizeOf(Numbers);

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
    /// For a tool in a box or behind a fence.
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
    header: Header,
    /// Whether strings or vectors lie in memory that was mapped for them.
    has_memory: bool = false,
};

/// Read the header of a message; null if it is none. A tool without ARGV0 is refused here.
pub fn decodeHeader(message: []const u8) ?Header {
    if (message.len < header_size) return null;
    const numbers = std.mem.bytesToValue(Numbers, message[0..header_size]);
    const header = Header{
        .argc = numbers.argc,
        .envc = numbers.envc,
        .open_files = numbers.open_files,
        .terminal = std.math.cast(u3, numbers.terminal) orelse return null,
        .length = numbers.length,
        .kept = numbers.kept,
        .user = numbers.user,
        .group = numbers.group,
        .fence = if (numbers.sockets == same) null else decodeFence(&numbers) orelse return null,
        .has_cgroup = numbers.cgroup == 1,
        .limits = numbers.limits,
    };
    if (numbers.cgroup > 1) return null;
    // One without the other would leave a tool half of what the launcher is.
    if ((header.user == same) != (header.group == same)) return null;
    // Each string has a zero byte at least, the program's too.
    if (header.argc == 0 or header.pointers() > @as(usize, header.length) + 1) return null;
    return header;
}

fn decodeFence(numbers: *const Numbers) ?Fence {
    return .{
        .sockets = std.meta.intToEnum(Sockets, numbers.sockets) catch return null,
        .read = std.math.cast(u8, numbers.read) orelse return null,
        .written = std.math.cast(u8, numbers.written) orelse return null,
        .used = std.math.cast(u8, numbers.used) orelse return null,
        .opened = std.math.cast(u8, numbers.opened) orelse return null,
        .hidden = std.math.cast(u8, numbers.hidden) orelse return null,
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
        .header = header,
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
