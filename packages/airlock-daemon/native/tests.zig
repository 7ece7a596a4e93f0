//! The tests of the pure parts: `python -m ziglang test native/tests.zig`. No part of the launcher.

test {
    _ = @import("tests/children.zig");
    _ = @import("tests/command_line.zig");
    _ = @import("tests/control.zig");
    _ = @import("tests/doors.zig");
    _ = @import("tests/landlock.zig");
    _ = @import("tests/order.zig");
    _ = @import("tests/place.zig");
}
