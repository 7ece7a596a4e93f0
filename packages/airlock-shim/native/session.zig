//! One command: connect, ask, pass on what it reads and writes, and end as it ended.

const system = @import("system.zig");
const stdio = @import("stdio.zig");
const signals = @import("signals.zig");
const box_relay = @import("box_relay.zig");
const endpoint = @import("endpoint.zig");
const exit_status = @import("exit_status.zig");
const input_module = @import("input.zig");
const message_module = @import("message.zig");
const output_module = @import("output.zig");
const passing_module = @import("passing.zig");
const invocation_module = @import("invocation.zig");
const lost_connection = @import("lost_connection.zig");
const unreachable_daemon = @import("unreachable_daemon.zig");
const Channel = @import("channel.zig").Channel;
const EventLoop = @import("event_loop.zig").EventLoop;
const Input = input_module.Input;
const Message = message_module.Message;
const Output = output_module.Output;
const Stream = output_module.Stream;
const Passing = passing_module.Passing;
const Reader = @import("json_reader.zig").Reader;
const Exit = @import("response.zig").Exit;
const Refusal = @import("response.zig").Refusal;
const diagnostics = @import("diagnostics.zig");
const report = diagnostics.report;
pub const Invocation = invocation_module.Invocation;

/// All the memory that a session uses beside the stack, whatever passes through it.
pub const Memory = struct {
    input: [256 * 1024]u8,
    output: [output_module.buffer_size]u8,
    outbox: [64 * 1024]u8,
    relays: passing_module.Memory,
    strings: message_module.Storage,
};

/// Runs the command through the daemon and answers the shim's exit status. `named` is the value
/// of AIRLOCK_SOCKET.
pub noinline fn run(invocation: *const Invocation, named: ?[]const u8, memory: *Memory) u8 {
    const places: endpoint.Places = .{};
    const relay = invocation.variable(box_relay.variable) orelse "";
    const found = if (relay.len > 0) box_relay.connect(relay) else endpoint.connect(named, places);
    const connection = switch (found) {
        .connected => |connection| connection,
        else => |outcome| {
            unreachable_daemon.explain(outcome, named, places);
            return exit_status.daemon_failed;
        },
    };
    var passing = Passing.prepare(&invocation.stdio, &memory.relays);
    const descriptors = if (passing) |*prepared| prepared.given else null;
    const held = invocation.send(connection.fd, descriptors, &memory.input);
    if (passing) |*prepared| prepared.closeGiven();

    var session: Session = .{
        .invocation = invocation,
        .passing = if (passing) |*prepared| prepared else null,
        .outputs = .{ .of(invocation.stdio[1]), .of(invocation.stdio[2]) },
        .loop = .{
            .socket = connection.fd,
            .forwarding = .{ .signals = held },
            .outbox = .{ .fd = connection.fd, .buffer = &memory.outbox },
            .stdin = .{ .channel = .of(invocation.stdio[0]) },
        },
        .output = .{ .buffer = &memory.output, .context = undefined, .deliver = Session.deliver },
    };
    session.output.context = &session;
    return session.attend(memory, connection.path.bytes());
}

const Session = struct {
    invocation: *const Invocation,
    /// The descriptors that were sent along; null where none were.
    passing: ?*Passing,
    /// Where streamed output goes.
    outputs: [2]Channel,
    loop: EventLoop,
    output: Output,
    /// Whether the daemon's first message is still to come.
    is_first: bool = true,
    errno: system.Errno = .SUCCESS,

    /// Talks with the daemon until the end, and answers the exit status. `path` is where the daemon
    /// was found.
    fn attend(session: *Session, memory: *Memory, path: []const u8) u8 {
        var input: Input = .{ .buffer = &memory.input, .context = session, .fill = fill };
        var reader: Reader = .{ .input = &input };
        var message = Message.init(&reader, &session.output, &memory.strings);
        const response = session.converse(&message);
        // Nothing can be passed to the command any more.
        session.loop.obeySignals();
        session.output.flush();
        session.loop.drain();
        const answer = response catch |fault| {
            session.loop.tidy();
            lost_connection.explain(fault, reader.problem, session.errno, path);
            return exit_status.daemon_failed;
        };
        return switch (answer) {
            .exited => |exit| session.endAs(exit),
            .refused => |refusal| session.endRefused(refusal),
        };
    }

    const Response = union(enum) { exited: Exit, refused: Refusal };

    /// Reads messages until the response.
    fn converse(session: *Session, message: *Message) !Response {
        while (true) {
            const event = try message.read();
            switch (event) {
                .exited => |exit| return .{ .exited = exit },
                .refused => |refusal| return .{ .refused = refusal },
                .credit => |bytes| session.loop.stdin.grant(bytes),
                .start, .other => {},
            }
            if (session.is_first) session.begin(message, switch (event) {
                .start => |start| start,
                // A daemon that begins in another way speaks the base protocol alone.
                else => .{},
            });
            try message.reader.expect('\n', "a message is followed by something else on its line");
        }
    }

    /// The command runs, with these features in use.
    fn begin(session: *Session, message: *Message, start: message_module.Start) void {
        session.is_first = false;
        const loop = &session.loop;
        const streams = &session.invocation.stdio;
        var features = start.features;
        if (session.passing) |passing| {
            if (features.fds) {
                // git ends when its ssh's stdout does, and would not wait for a complaint.
                passing.begin(streams, session.invocation.first != null);
                if (passing.takesPart()) loop.passing = passing;
                features.base64 = false;
                features.stdin = false;
                features.tty = false;
            } else passing.abandon();
        }
        message.parameters.may_be_encoded = features.base64;
        if (features.stdin) loop.stdin.open(start.stdin_credit);
        if (features.tty) {
            loop.forwarding.resized_terminal = stdio.firstTerminal(streams) orelse -1;
            // Where the keys go to the other end, that end does the echo and the editing.
            if (features.stdin and streams[0].kind == .terminal) loop.raw_terminal = 0;
            loop.terminal_output = if (streams[1].kind == .terminal) .passed else .processed;
            loop.makeTerminalRaw();
        }
        if (features.signals) loop.forwarding.begin(&loop.outbox) else loop.obeySignals();
    }

    /// Ends as the command ended: by the same signal, where it was one that we were sent too.
    fn endAs(session: *Session, exit: Exit) u8 {
        if (exit.stdin_bytes) |taken| session.loop.stdin.restorePosition(taken);
        session.loop.tidy();
        if (session.loop.forwarding.forwardedAs(exit.signal)) |number| signals.dieOf(number);
        return exit.status;
    }

    fn endRefused(session: *Session, refusal: Refusal) u8 {
        session.loop.tidy();
        report(&.{.{ .shown = refusal.message }});
        if (refusal.hint.len > 0) diagnostics.advise(.{ .shown = refusal.hint });
        return exit_status.ofError(refusal.code);
    }

    /// The receiving side of the socket. Nothing that arrived is kept back while it waits.
    fn fill(context: *anyopaque, buffer: []u8) input_module.Error!usize {
        const session: *Session = @ptrCast(@alignCast(context));
        session.output.flush();
        session.loop.waitForMessage();
        const result = system.read(session.loop.socket, buffer);
        session.errno = result.errno;
        return if (result.ok()) result.value else error.ReadFailed;
    }

    /// Writes, or ends the shim as a tool ends that cannot write: a reader that went away is no
    /// fault, so nothing is said.
    fn deliver(context: *anyopaque, stream: Stream, bytes: []const u8) void {
        const session: *Session = @ptrCast(@alignCast(context));
        const channel = &session.outputs[if (stream == .stdout) 0 else 1];
        var rest = bytes;
        while (rest.len > 0) {
            const result = channel.write(rest);
            switch (result.errno) {
                .SUCCESS => {
                    rest = rest[result.value..];
                    // What took less than there was is full.
                    if (rest.len > 0) session.loop.waitForRoom(channel.fd);
                },
                .AGAIN => session.loop.waitForRoom(channel.fd),
                .PIPE, .CONNRESET => session.loop.leaveBy(system.linux.SIG.PIPE),
                else => |errno| session.loop.leaveUnwritable(@tagName(stream), errno),
            }
        }
    }
};
