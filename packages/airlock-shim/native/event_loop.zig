//! Waits for what the session needs next, and does meanwhile whatever else there is to do: pass
//! signals and stdin to the daemon, and move bytes between relayed descriptors.

const system = @import("system.zig");
const error_number = @import("error_number.zig");
const signals = @import("signals.zig");
const terminal = @import("terminal.zig");
const diagnostics = @import("diagnostics.zig");
const exit_status = @import("exit_status.zig");
const Forwarding = @import("forwarding.zig").Forwarding;
const Outbox = @import("outbox.zig").Outbox;
const Passing = @import("passing.zig").Passing;
const StdinStream = @import("stdin_stream.zig").StdinStream;
const linux = system.linux;
const POLL = linux.POLL;

/// How often a shim in the background looks whether it may read the terminal.
const background_ms = 500;

pub const EventLoop = struct {
    socket: i32,
    forwarding: Forwarding,
    outbox: Outbox,
    stdin: StdinStream,
    /// The descriptors that the tool has, once they are in use.
    passing: ?*Passing = null,
    /// The terminal that is to be raw while the command runs; -1 where there is none.
    raw_terminal: i32 = -1,
    /// And what it then does with output.
    terminal_output: terminal.Output = .passed,
    /// Whether the daemon is known to have closed the connection.
    is_hung_up: bool = false,

    const Goal = union(enum) {
        /// Something to read from the daemon.
        message,
        /// Room in a descriptor for output.
        room: i32,
        /// The end of all relays of output.
        drained,
    };

    /// Waits until the socket can be read.
    pub fn waitForMessage(loop: *EventLoop) void {
        loop.waitFor(.message);
    }

    /// Waits until `fd` can be written to.
    pub fn waitForRoom(loop: *EventLoop, fd: i32) void {
        loop.waitFor(.{ .room = fd });
    }

    /// The command has ended: passes on what it left in the relays, and takes no more for it.
    pub fn drain(loop: *EventLoop) void {
        const passing = loop.passing orelse return;
        loop.is_hung_up = true;
        passing.endRelay(0);
        for (1..3) |number| {
            const relay = if (passing.relays[number]) |*relay| relay else continue;
            if (relay.is_open and !relay.limitToPresent()) passing.endRelay(number);
        }
        loop.waitFor(.drained);
    }

    fn waitFor(loop: *EventLoop, goal: Goal) void {
        while (true) {
            var set: PollSet = .{};
            loop.addSocket(&set, goal);
            set.add(.signals, loop.forwarding.signals.fd, POLL.IN);
            if (loop.stdin.isWanted(&loop.outbox)) {
                set.add(.stdin, loop.stdin.channel.fd, POLL.IN);
            }
            const relays = loop.addRelays(&set);
            switch (goal) {
                .message => {},
                .room => |fd| set.add(.room, fd, POLL.OUT),
                .drained => if (relays == 0) return,
            }
            set.wait(loop.timeout());
            if (loop.serve(&set)) return;
        }
    }

    fn addSocket(loop: *EventLoop, set: *PollSet, goal: Goal) void {
        // Where nothing is asked for, poll(2) still tells of a hang-up.
        var events: i16 = if (goal == .message) POLL.IN else 0;
        if (loop.is_hung_up and goal != .message) return;
        if (!loop.outbox.isEmpty()) events |= POLL.OUT;
        set.add(if (goal == .message) .message else .hang_up, loop.socket, events);
    }

    fn addRelays(loop: *EventLoop, set: *PollSet) usize {
        const passing = loop.passing orelse return 0;
        var count: usize = 0;
        for (&passing.relays, [_]PollSet.Purpose{ .relay_0, .relay_1, .relay_2 }) |*slot, purpose| {
            const relay = if (slot.*) |*relay| relay else continue;
            if (!relay.is_open) continue;
            const interest = relay.interest();
            set.add(purpose, interest.fd, interest.events);
            count += 1;
        }
        return count;
    }

    fn timeout(loop: *EventLoop) i32 {
        if (loop.forwarding.timeout()) |remaining| return remaining;
        return if (loop.stdin.is_open and loop.stdin.is_in_background) background_ms else -1;
    }

    /// Does what there is to do, and answers whether the goal is reached.
    fn serve(loop: *EventLoop, set: *const PollSet) bool {
        var is_reached = false;
        loop.stdin.is_in_background = false;
        if (loop.forwarding.timeout() == 0) loop.obeySignals();
        for (set.slots[0..set.count], set.purposes[0..set.count]) |slot, purpose| {
            if (slot.revents == 0) continue;
            switch (purpose) {
                .message => {
                    if (slot.revents & POLL.OUT != 0) loop.outbox.send();
                    if (slot.revents & ~@as(i16, POLL.OUT) != 0) is_reached = true;
                },
                .hang_up => {
                    if (slot.revents & POLL.OUT != 0) loop.outbox.send();
                    if (slot.revents & ~@as(i16, POLL.OUT) != 0) loop.noteHangUp();
                },
                .signals => loop.takeSignals(),
                .stdin => loop.stdin.pump(&loop.outbox),
                .relay_0 => loop.advance(0),
                .relay_1 => loop.advance(1),
                .relay_2 => loop.advance(2),
                .room => is_reached = true,
            }
        }
        return is_reached;
    }

    fn takeSignals(loop: *EventLoop) void {
        if (loop.forwarding.take(&loop.outbox)) |number| loop.leaveBy(number);
        if (!loop.forwarding.was_continued) return;
        loop.forwarding.was_continued = false;
        loop.makeTerminalRaw();
    }

    /// The shell that continued us in the foreground, or a program that ran there meanwhile, may
    /// have left the terminal in other modes. In the background they are not to be touched.
    pub fn makeTerminalRaw(loop: *const EventLoop) void {
        if (loop.raw_terminal < 0 or !terminal.isForeground(loop.raw_terminal)) return;
        terminal.enterRaw(loop.raw_terminal, loop.terminal_output);
    }

    /// What is left may be read later; but there is no daemon to pass a signal to.
    fn noteHangUp(loop: *EventLoop) void {
        loop.is_hung_up = true;
        loop.stdin.is_open = false;
        loop.obeySignals();
    }

    /// From now on signals have their usual effect: at once by the kernel, unless there is
    /// something to put right before.
    pub fn obeySignals(loop: *EventLoop) void {
        if (loop.forwarding.obey()) |number| loop.leaveBy(number);
        const is_needed = loop.passing != null or loop.raw_terminal >= 0 or
            loop.forwarding.resized_terminal >= 0;
        if (!is_needed) loop.forwarding.signals.release();
    }

    fn advance(loop: *EventLoop, number: usize) void {
        const passing = loop.passing orelse return;
        const relay = if (passing.relays[number]) |*relay| relay else return;
        switch (relay.step()) {
            .done => {},
            .ended => passing.endRelay(number),
            .unread => if (number == 0) passing.endRelay(0) else loop.leaveBy(linux.SIG.PIPE),
            .failed => |errno| if (number == 0)
                passing.endRelay(0)
            else
                loop.leaveUnwritable(if (number == 1) "stdout" else "stderr", errno),
        }
    }

    /// Puts right what the shim changed outside of itself. Every way out passes here.
    pub fn tidy(loop: *EventLoop) void {
        terminal.restore();
        if (loop.passing) |passing| passing.restorePosition();
    }

    /// Ends the shim by a signal. Ending closes the connection, and that ends the command.
    pub fn leaveBy(loop: *EventLoop, number: u8) noreturn {
        loop.tidy();
        signals.dieOf(number);
    }

    /// Ends the shim because the command's output cannot be written.
    pub fn leaveUnwritable(loop: *EventLoop, stream: []const u8, errno: system.Errno) noreturn {
        loop.tidy();
        diagnostics.report(&.{
            .{ .plain = "cannot write the command's output to " },
            .{ .plain = stream },
            .{ .plain = ": " },
            .{ .plain = error_number.describe(errno) },
        });
        linux.exit_group(exit_status.daemon_failed);
    }
};

/// What is waited for, each with what it is for.
const PollSet = struct {
    slots: [7]linux.pollfd = undefined,
    purposes: [7]Purpose = undefined,
    count: usize = 0,

    const Purpose = enum { message, hang_up, signals, stdin, relay_0, relay_1, relay_2, room };

    fn add(set: *PollSet, purpose: Purpose, fd: i32, events: i16) void {
        if (fd < 0) return;
        set.slots[set.count] = .{ .fd = fd, .events = events, .revents = 0 };
        set.purposes[set.count] = purpose;
        set.count += 1;
    }

    fn wait(set: *PollSet, timeout: i32) void {
        const ready = linux.poll(&set.slots, set.count, timeout);
        // An interruption, as by being stopped and continued: nothing is ready.
        if (linux.E.init(ready) == .SUCCESS) return;
        for (set.slots[0..set.count]) |*slot| slot.revents = 0;
    }
};
