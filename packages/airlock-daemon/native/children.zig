//! Reads the numbers in /proc/PID/task/TID/children (proc_pid_children(5)), which come in pieces.

const std = @import("std");

pub const Parser = struct {
    pid: i32 = 0,

    /// Take the next piece and add each number that ends in it to `list`, which has an
    /// `append(i32)`. The kernel puts a space after every number, the last one too.
    pub fn feed(parser: *Parser, piece: []const u8, list: anytype) void {
        for (piece) |byte| switch (byte) {
            '0'...'9' => parser.pid = parser.pid *| 10 +| (byte - '0'),
            else => {
                if (parser.pid > 0) list.append(parser.pid);
                parser.pid = 0;
            },
        };
    }
};
