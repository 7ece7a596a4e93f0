//! The process that stays: it takes the daemon's orders for which there is no supervisor, and forks one
//! for each. What a supervisor leaves behind that is killed comes to this process, and ends here.

const linux = @import("std").os.linux;
const command = @import("command.zig");
const control = @import("control.zig");
const delivery = @import("delivery.zig");
const descendants = @import("descendants.zig");
const failed = @import("errno.zig").failed;

/// Take orders until the daemon is gone, and stay until no supervisor is left that it could still be needed
/// by. Returns in a supervisor too, when nothing is left of its command. `deaths` is a non-blocking
/// signalfd of SIGCHLD.
pub fn run(socket: i32, deaths: i32) delivery.Fault!void {
    var daemon_gone = false;
    while (!daemon_gone or supervisors.count > 0) {
        var sources = [_]linux.pollfd{
            // poll(2) passes over a negative descriptor.
            .{ .fd = if (daemon_gone) -1 else socket, .events = linux.POLL.IN, .revents = 0 },
            .{ .fd = deaths, .events = linux.POLL.IN, .revents = 0 },
        };
        if (failed(linux.poll(&sources, sources.len, -1)) != null) continue;
        if (sources[1].revents != 0) bury(deaths);
        if (sources[0].revents == 0) continue;
        const delivered = try delivery.receive(socket) orelse {
            daemon_gone = true;
            continue;
        };
        const result = if (supervisors.isFull()) no_process else linux.fork();
        if (result == 0) {
            // Held here too, it would keep the daemon from seeing that the service is gone.
            _ = linux.close(socket);
            return command.run(&delivered, deaths);
        }
        const received = delivered.received();
        if (failed(result)) |errno| {
            if (received.len > 0) control.sendFailure(received[0], .setup_failed, errno);
        } else supervisors.add(@intCast(result));
        // Before the next order: its supervisor must not inherit what belongs to this command.
        for (received) |descriptor| _ = linux.close(descriptor);
    }
}

/// Reap all that have ended. A supervisor that ends by itself has nothing below it. What the others leave
/// becomes this process's own, and so does what that leaves: none of it may go on.
fn bury(deaths: i32) void {
    var information: [@sizeOf(linux.signalfd_siginfo)]u8 = undefined;
    _ = linux.read(deaths, &information, information.len);
    var left_something = false;
    while (true) {
        var status: u32 = 0;
        const result = linux.wait4(-1, &status, linux.W.NOHANG, null);
        if (failed(result) != null or result == 0) break;
        if (!supervisors.remove(@intCast(result)) or status != 0) left_something = true;
    }
    if (left_something) descendants.killAll(supervisors.list());
}

/// What fork(2) says where there may be no further process.
const no_process: usize = @bitCast(-@as(isize, @intFromEnum(linux.E.AGAIN)));

/// The numbers of those that have not been reaped, so that no other process has one of them.
const Supervisors = struct {
    pids: [32 * 1024]i32 = undefined,
    count: usize = 0,

    fn isFull(known: *const Supervisors) bool {
        return known.count == known.pids.len;
    }

    fn list(known: *const Supervisors) []const i32 {
        return known.pids[0..known.count];
    }

    fn add(known: *Supervisors, pid: i32) void {
        known.pids[known.count] = pid;
        known.count += 1;
    }

    /// False if it is none of them.
    fn remove(known: *Supervisors, pid: i32) bool {
        for (known.list(), 0..) |each, index| if (each == pid) {
            known.count -= 1;
            known.pids[index] = known.pids[known.count];
            return true;
        };
        return false;
    }
};

// Zero until used: it takes no room in the file and, mostly, none in memory.
var supervisors: Supervisors = .{};
