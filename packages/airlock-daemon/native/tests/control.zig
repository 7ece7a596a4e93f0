const std = @import("std");
const control = @import("../control.zig");
const Order = control.Order;
const decode = control.decode;
const encode = control.encode;

test "orders carry a letter and a signal" {
    try std.testing.expectEqual(Order{ .signal = 2 }, decode("S\x02").?);
    try std.testing.expectEqual(Order{ .end = 64 }, decode("E\x40").?);
}

test "anything else is no order" {
    inline for (.{ "", "S", "S\x00", "E\x41", "E\xff", "X\x01", "s\x02", "S\x02\x00", "S\x02S\x02" }) |bad| {
        try std.testing.expectEqual(null, decode(bad));
    }
}

test "a report is a letter, padding and a little-endian number" {
    try std.testing.expectEqualSlices(u8, "X\x00\x00\x00\x00\x01\x00\x00", &encode(.ended, 256));
    try std.testing.expectEqualSlices(u8, "F\x00\x00\x00\x02\x00\x00\x00", &encode(.exec_failed, 2));
    try std.testing.expectEqualSlices(u8, "N\x00\x00\x00\xff\xff\xff\xff", &encode(.setup_failed, -1));
}
