//! Exit statuses that are the shim's own; every other one is the command's.
//!
//! They follow `docker run` (its manual, "Exit Status"), so that scripts which already tell a
//! container's failure from a command's need to learn nothing new.

/// Called by its own name and used wrongly, as is usual for command line tools.
pub const usage: u8 = 2;

/// The links that were asked for could not all be made.
pub const install_failed: u8 = 1;

/// The daemon is unreachable, was lost, does not speak the protocol, or failed itself.
pub const daemon_failed: u8 = 125;

/// The daemon refused the command.
pub const denied: u8 = 126;

/// The daemon knows no such command.
pub const unknown_command: u8 = 127;

/// The status for a JSON-RPC error `code`: -32601 is an unknown command, -32603 a daemon that
/// failed or could not start the tool, and every other one a refusal.
pub fn ofError(code: i64) u8 {
    return switch (code) {
        -32601 => unknown_command,
        -32603 => daemon_failed,
        else => denied,
    };
}

test "an unknown command, a failed daemon and a refusal have statuses of their own" {
    const expectEqual = @import("std").testing.expectEqual;
    try expectEqual(@as(u8, 127), ofError(-32601));
    try expectEqual(@as(u8, 125), ofError(-32603));
    for ([_]i64{ -32600, -32602, -32700, 0, 1, -1 }) |code| {
        try expectEqual(@as(u8, 126), ofError(code));
    }
}
