//! The three standard descriptors, before anything else is opened.

const system = @import("system.zig");

/// Opens /dev/null for each of 0, 1 and 2 that is closed. Else the socket would take its number,
/// and what the tool prints would be sent to the daemon.
pub fn fillClosed() void {
    for (0..3) |fd| {
        if (system.isOpen(@intCast(fd))) continue;
        // The lowest free number is given out: this one, as those below it are taken by now.
        if (system.open("/dev/null", .{ .ACCMODE = .RDWR }).ok()) continue;
        // An image without /dev: this takes the place too, and can be neither read nor written.
        _ = system.open("/", .{ .PATH = true });
    }
}
