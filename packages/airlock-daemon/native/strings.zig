//! Where the strings of an order are, and the pointers to them.

const std = @import("std");
const linux = std.os.linux;
const failed = @import("errno.zig").failed;
const orders = @import("order.zig");

const Fault = error{ Malformed, OutOfMemory };

/// Read the order in `message`, which was delivered whole; the errno to report if there is none.
/// `further` are the descriptors beside those of every order: the ones that the tool keeps, those of its
/// fence, its cgroup, and last a memfd with the strings, if they are not in the message. Strings and vectors
/// stay where they are until the process ends or receives something else.
pub fn read(message: []const u8, further: []const i32, order: *orders.Order) ?linux.E {
    order.* = find(message, further) catch |fault| return switch (fault) {
        error.Malformed => .INVAL,
        error.OutOfMemory => .NOMEM,
    };
    return null;
}

fn find(message: []const u8, further: []const i32) Fault!orders.Order {
    const header = orders.decodeHeader(message) orelse return error.Malformed;
    const file = switch (std.math.sub(usize, further.len, header.further()) catch return error.Malformed) {
        0 => null,
        1 => further[header.further()],
        else => return error.Malformed,
    };
    var text = message[orders.header_size..];
    if (file) |memory| {
        if (text.len != 0) return error.Malformed;
        text = try mapFile(memory, header.length);
    }
    const space = try reserve(header.pointers());
    var order = orders.decode(header, text, space) orelse return error.Malformed;
    order.has_memory = file != null or space.ptr != &few;
    return order;
}

// fcntl(2), F_GET_SEALS.
const get_seals = 1024 + 10;
const seal_shrink = 2;
const seal_write = 8;

/// The strings in a memfd. It must be sealed: a file that shrinks kills who reads it, and one that
/// changes could be another thing when it is used than when it was read.
fn mapFile(file: i32, length: u32) Fault![]const u8 {
    const seals = linux.fcntl(file, get_seals, 0);
    const needed = seal_shrink | seal_write;
    if (failed(seals) != null or seals & needed != needed) return error.Malformed;
    const size = linux.lseek(file, 0, linux.SEEK.END);
    if (failed(size) != null or size < length) return error.Malformed;
    const result = linux.mmap(null, length, linux.PROT.READ, .{ .TYPE = .PRIVATE }, file, 0);
    if (failed(result) != null) return error.OutOfMemory;
    return @as([*]const u8, @ptrFromInt(result))[0..length];
}

const Pointer = ?[*:0]const u8;

// Enough for the arguments and the environment of nearly all commands.
var few: [1024]Pointer = undefined;

fn reserve(count: usize) Fault![]Pointer {
    if (count <= few.len) return few[0..count];
    const access = linux.PROT.READ | linux.PROT.WRITE;
    const private: linux.MAP = .{ .TYPE = .PRIVATE, .ANONYMOUS = true };
    const result = linux.mmap(null, count * @sizeOf(Pointer), access, private, -1, 0);
    if (failed(result) != null) return error.OutOfMemory;
    return @as([*]Pointer, @ptrFromInt(result))[0..count];
}
