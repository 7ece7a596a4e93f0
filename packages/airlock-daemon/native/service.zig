//! The process that stays: it takes the daemon's orders for which there is no supervisor, and forks one
//! for each.

const linux = @import("std").os.linux;
const command = @import("command.zig");
const control = @import("control.zig");
const delivery = @import("delivery.zig");
const failed = @import("errno.zig").failed;

/// Take orders until the daemon is gone. Returns in a supervisor too, when nothing is left of its
/// command. `deaths` is a non-blocking
/// signalfd of SIGCHLD.
pub fn run(socket: i32, deaths: i32) delivery.Fault!void {
    while (try delivery.receive(socket)) |delivered| {
        const result = linux.fork();
        if (result == 0) {
            // Held here too, it would keep the daemon from seeing that the service is gone.
            _ = linux.close(socket);
            return command.run(&delivered, deaths);
        }
        const received = delivered.received();
        if (failed(result)) |errno| {
            if (received.len > 0) control.sendFailure(received[0], .setup_failed, errno);
        }
        // Before the next order: its supervisor must not inherit what belongs to this command.
        for (received) |descriptor| _ = linux.close(descriptor);
    }
}
