//! One command: connect, ask, pass its output on, and end as it ended.

const std = @import("std");
const system = @import("system.zig");
const endpoint = @import("endpoint.zig");
const container = @import("container.zig");
const exit_status = @import("exit_status.zig");
const input_module = @import("input.zig");
const response_module = @import("response.zig");
const unreachable_daemon = @import("unreachable_daemon.zig");
const Input = input_module.Input;
const Output = @import("output.zig").Output;
const Reader = @import("json_reader.zig").Reader;
const Request = @import("request.zig").Request;
const diagnostics = @import("diagnostics.zig");
const report = diagnostics.report;

/// All the memory that a session uses beside the stack, whatever passes through it.
pub const Memory = struct {
    input: [64 * 1024]u8,
    output: [64 * 1024]u8,
    strings: response_module.Storage,
};

/// Runs `command` through the daemon and answers the shim's exit status. `named` is the value of
/// AIRLOCK_SOCKET.
pub fn run(
    command: []const u8,
    args: []const [*:0]const u8,
    named: ?[]const u8,
    memory: *Memory,
) u8 {
    const places: endpoint.Places = .{};
    const connection = switch (endpoint.connect(named, places)) {
        .connected => |connection| connection,
        else => |outcome| {
            unreachable_daemon.explain(outcome, named, places);
            return exit_status.daemon_failed;
        },
    };
    send(connection.fd, command, args, &memory.input);

    var output: Output = .{ .buffer = &memory.output };
    var source: Source = .{ .fd = connection.fd, .output = &output };
    var input: Input = .{ .buffer = &memory.input, .context = &source, .fill = Source.fill };
    var reader: Reader = .{ .input = &input };
    const response = response_module.receive(&reader, &output, &memory.strings) catch |fault| {
        output.flush();
        explain(fault, reader.problem, source.errno, connection.path.bytes());
        return exit_status.daemon_failed;
    };
    output.flush();
    switch (response) {
        .exited => |status| return status,
        .refused => |refusal| {
            report(&.{.{ .shown = refusal.message }});
            if (refusal.hint.len > 0) diagnostics.advise(.{ .shown = refusal.hint });
            return exit_status.ofError(refusal.code);
        },
    }
}

/// Sends the request. When the daemon takes no more of it, it has most likely answered already
/// (a request over its limit), so whatever it says is read all the same.
fn send(fd: i32, command: []const u8, args: []const [*:0]const u8, buffer: []u8) void {
    var directory: [std.fs.max_path_bytes]u8 = undefined;
    const id = container.find();
    const request: Request = .{
        .command = command,
        .args = args,
        .cwd = system.workingDirectory(&directory),
        .container_id = if (id) |*known| known else null,
    };
    var sink: Sink = .{
        .fd = fd,
        .writer = .{ .buffer = buffer, .vtable = &.{ .drain = Sink.drain } },
    };
    request.encode(&sink.writer) catch return;
    sink.writer.flush() catch return;
}

/// The sending side of the socket.
const Sink = struct {
    fd: i32,
    writer: std.Io.Writer,

    fn drain(
        writer: *std.Io.Writer,
        data: []const []const u8,
        splat: usize,
    ) std.Io.Writer.Error!usize {
        const sink: *Sink = @fieldParentPtr("writer", writer);
        try sink.deliver(writer.buffered());
        writer.end = 0;
        var count: usize = 0;
        for (data[0 .. data.len - 1]) |bytes| {
            try sink.deliver(bytes);
            count += bytes.len;
        }
        const last = data[data.len - 1];
        for (0..splat) |_| try sink.deliver(last);
        return count + last.len * splat;
    }

    fn deliver(sink: *Sink, bytes: []const u8) std.Io.Writer.Error!void {
        if (system.sendAll(sink.fd, bytes) != .SUCCESS) return error.WriteFailed;
    }
};

/// The receiving side of the socket. Nothing that arrived is kept back while it waits.
const Source = struct {
    fd: i32,
    output: *Output,
    errno: system.Errno = .SUCCESS,

    fn fill(context: *anyopaque, buffer: []u8) input_module.Error!usize {
        const source: *Source = @ptrCast(@alignCast(context));
        source.output.flush();
        const result = system.read(source.fd, buffer);
        source.errno = result.errno;
        return if (result.ok()) result.value else error.ReadFailed;
    }
};

fn explain(fault: anyerror, problem: []const u8, errno: system.Errno, path: []const u8) void {
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
                .{ .plain = if (errno == .SUCCESS) "" else system.describe(errno) },
            });
            diagnostics.advise(.{ .plain = "the daemon was stopped or crashed, and ends its " ++
                "commands then; its log says more" });
        },
    }
}
