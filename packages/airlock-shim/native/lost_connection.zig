//! Says how the conversation with the daemon failed, and what to do about it.

const system = @import("system.zig");
const error_number = @import("error_number.zig");
const diagnostics = @import("diagnostics.zig");
const report = diagnostics.report;

/// `problem` is what was wrong with a message that is `error.Malformed`, `errno` what the last
/// read gave, and `path` where the daemon was found.
pub fn explain(fault: anyerror, problem: []const u8, errno: system.Errno, path: []const u8) void {
    switch (fault) {
        error.Malformed => {
            report(&.{
                .{ .plain = "what answers at " },
                .{ .shown = path },
                .{ .plain = " does not speak Airlock's protocol: " },
                .{ .plain = problem },
            });
            diagnostics.advise(.{ .plain = "is this the socket of an Airlock daemon? " ++
                "The command may have run" });
        },
        else => {
            report(&.{
                .{ .plain = "the connection to the daemon at " },
                .{ .shown = path },
                .{ .plain = " was lost before the command ended" },
                .{ .plain = if (errno == .SUCCESS) "" else ": " },
                .{ .plain = if (errno == .SUCCESS) "" else error_number.describe(errno) },
            });
            diagnostics.advise(.{ .plain = "the daemon was stopped or crashed, and ends its " ++
                "commands then; its log says more" });
        },
    }
}
