//! Watches the tool until it and everything that it started have ended.

const std = @import("std");
const linux = std.os.linux;
const control = @import("control.zig");
const descendants = @import("descendants.zig");
const leftovers = @import("leftovers.zig");

/// What processes get to end by themselves, in milliseconds, before they are killed.
const grace = 2000;

/// Between passes that kill, in milliseconds: one is enough as a rule, and a process that cannot die
/// yet (it waits for a disk or a server) is not worth more than a look now and then.
const shortest_pause = 10;
const longest_pause = 1000;

pub const Supervisor = struct {
    socket: i32,
    /// A non-blocking signalfd of SIGCHLD.
    deaths: i32,
    /// The tool's process and, as long as it lives, its process group.
    tool: i32,
    tool_ended: bool = false,
    /// Whether this process may run another command when nothing is left of this one.
    may_go_on: bool,
    /// Whether this is pid 1 of a box: it tells what the tool has left there, and stays after its last report
    /// until the daemon says anything.
    lingers: bool,
    daemon_gone: bool = false,
    /// Whether it was reported that it waits for one.
    is_ready: bool = false,
    /// When the next pass that kills is due, in milliseconds of the monotonic clock; null as long
    /// as nothing is to end.
    kill_at: ?i64 = null,
    pause: i64 = shortest_pause,

    /// Returns when no descendant is left, and whether the daemon was told to send another order: that
    /// is so where none was left already at the tool's end.
    pub fn run(supervisor: *Supervisor) bool {
        while (supervisor.reap()) {
            supervisor.killIfDue();
            supervisor.wait();
        }
        return supervisor.is_ready;
    }

    /// Reap all that have ended and report the tool's end. False when no child is left.
    fn reap(supervisor: *Supervisor) bool {
        var ended: ?u32 = null;
        while (true) {
            var status: u32 = 0;
            const result = linux.wait4(-1, &status, linux.W.NOHANG, null);
            switch (linux.E.init(result)) {
                .SUCCESS => {},
                .INTR => continue,
                else => {
                    if (ended) |tool_status| {
                        supervisor.is_ready = supervisor.may_go_on;
                        supervisor.report(if (supervisor.is_ready) .ready else .over, tool_status);
                        if (supervisor.lingers and supervisor.kill_at == null) control.waitWord(supervisor.socket);
                    }
                    return false;
                },
            }
            if (result == 0) break;
            if (!supervisor.tool_ended and result == supervisor.tool) {
                supervisor.tool_ended = true;
                ended = status;
            }
        }
        if (ended) |tool_status| supervisor.report(.ended, tool_status);
        // What the tool leaves behind ends with it.
        if (supervisor.tool_ended and supervisor.kill_at == null) supervisor.end(linux.SIG.HUP);
        return true;
    }

    fn report(supervisor: *const Supervisor, what: control.Report, status: u32) void {
        if (supervisor.lingers) leftovers.tell(supervisor.socket);
        control.send(supervisor.socket, what, @bitCast(status));
    }

    fn end(supervisor: *Supervisor, signal: u8) void {
        const now = milliseconds();
        if (signal == linux.SIG.KILL) {
            supervisor.kill_at = now;
            return;
        }
        descendants.signalAll(signal);
        // A second order changes the signal; it buys no more time.
        if (supervisor.kill_at == null) supervisor.kill_at = now + grace;
    }

    fn killIfDue(supervisor: *Supervisor) void {
        const due = supervisor.kill_at orelse return;
        if (milliseconds() < due) return;
        descendants.killAll(&.{});
        supervisor.kill_at = milliseconds() + supervisor.pause;
        supervisor.pause = @min(2 * supervisor.pause, longest_pause);
    }

    /// Sleep until a child ends, the daemon says something, or a pass that kills is due.
    fn wait(supervisor: *Supervisor) void {
        var sources = [_]linux.pollfd{
            .{ .fd = supervisor.deaths, .events = linux.POLL.IN, .revents = 0 },
            // poll(2) passes over a negative descriptor.
            .{ .fd = if (supervisor.daemon_gone) -1 else supervisor.socket, .events = linux.POLL.IN, .revents = 0 },
        };
        const timeout: i32 = if (supervisor.kill_at) |due| @intCast(@max(0, due - milliseconds())) else -1;
        const result = linux.poll(&sources, sources.len, timeout);
        if (linux.E.init(result) != .SUCCESS) return;
        if (sources[0].revents != 0) {
            var information: [@sizeOf(linux.signalfd_siginfo)]u8 = undefined;
            _ = linux.read(supervisor.deaths, &information, information.len);
        }
        if (sources[1].revents != 0) supervisor.obey();
    }

    fn obey(supervisor: *Supervisor) void {
        switch (control.receive(supervisor.socket)) {
            .nothing => {},
            .order => |order| switch (order) {
                .signal => |signal| supervisor.signalTool(signal),
                .end => |signal| supervisor.end(signal),
            },
            .closed => {
                supervisor.daemon_gone = true;
                supervisor.end(linux.SIG.HUP);
            },
        }
    }

    /// Once the tool has been reaped, its number may be another's.
    fn signalTool(supervisor: *Supervisor, signal: u8) void {
        if (!supervisor.tool_ended) _ = linux.kill(-supervisor.tool, signal);
    }
};

fn milliseconds() i64 {
    var now: linux.timespec = undefined;
    _ = linux.clock_gettime(.MONOTONIC, &now);
    return @as(i64, now.sec) * std.time.ms_per_s + @divTrunc(now.nsec, std.time.ns_per_ms);
}
