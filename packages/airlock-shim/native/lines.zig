//! Reads a file line by line, whatever its size, in constant memory.

const std = @import("std");
const system = @import("system.zig");

/// Calls `take` with each line of the file until it answers false. Of a line that is longer than
/// 8 KiB only the beginning is given.
pub fn forEach(
    path: [*:0]const u8,
    context: anytype,
    take: fn (@TypeOf(context), []const u8) bool,
) void {
    const opened = system.open(path, .{ .CLOEXEC = true });
    if (!opened.ok()) return;
    const fd = opened.descriptor();
    defer system.close(fd);
    var buffer: [8192]u8 = undefined;
    var end: usize = 0;
    var inside_long_line = false;
    while (true) {
        const result = system.read(fd, buffer[end..]);
        if (!result.ok() or result.value == 0) return;
        end += result.value;
        var start: usize = 0;
        while (std.mem.indexOfScalarPos(u8, buffer[0..end], start, '\n')) |newline| {
            if (!inside_long_line and !take(context, buffer[start..newline])) return;
            inside_long_line = false;
            start = newline + 1;
        }
        if (start == 0 and end == buffer.len) {
            if (!inside_long_line and !take(context, &buffer)) return;
            inside_long_line = true;
            end = 0;
        } else {
            std.mem.copyForwards(u8, &buffer, buffer[start..end]);
            end -= start;
        }
    }
}
