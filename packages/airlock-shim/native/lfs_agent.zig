//! `git-lfs-agent`: what git-lfs starts to transfer large files (its custom transfer agents).
//!
//! git-lfs says a line of JSON for each object. The content goes to the daemon and comes from there
//! in one conversation, by `git-remote`, which is begun for the first object. The daemon knows the
//! server and its accounts; nothing of these is ever here.

const std = @import("std");
const system = @import("system.zig");
const install = @import("install.zig");
const invocation_module = @import("invocation.zig");
const json_string = @import("json_string.zig");
const json_text = @import("json_text.zig");
const lfs_place = @import("lfs_place.zig");
const session = @import("session.zig");
const signals = @import("signals.zig");
const stdio = @import("stdio.zig");
const input_module = @import("input.zig");
const Input = input_module.Input;
const Reader = @import("json_reader.zig").Reader;
const Text = @import("text.zig").Text;
const linux = system.linux;

const Environment = []const [*:0]const u8;

const oid_length = 64;
const word_length = 32;
/// Bytes of a file that are read or written at once.
const piece = 64 * 1024;
/// git-lfs is told of progress after so many bytes.
const step = 1024 * 1024;

/// Too much for the stack of every command.
const Memory = struct {
    messages: [64 * 1024]u8,
    answers: [piece]u8,
    copied: [piece]u8,
    remote: [std.fs.max_path_bytes + json_string.minimum_room]u8,
    path: [std.fs.max_path_bytes + json_string.minimum_room]u8,
    place: lfs_place.Memory,
    complaint: [4096]u8,
    line: [16 * 1024]u8,
};

var memory: Memory = undefined;

/// Serves git-lfs until it is done, and answers the exit status.
pub noinline fn run(environment: Environment, shim: *session.Memory) u8 {
    signals.holdBrokenPipe();
    var input: Input = .{ .buffer = &memory.messages, .context = &standard_input, .fill = fill };
    var reader: Reader = .{ .input = &input };
    var message: Message = .{
        .remote = .{ .storage = &memory.remote },
        .path = .{ .storage = &memory.path },
    };
    var agent: Agent = .{ .environment = environment, .shim = shim };
    defer agent.end();
    while (message.read(&reader)) |_| {
        if (message.is("init")) {
            if (!agent.begin(&message)) return 1;
        } else if (message.is("upload") or message.is("download")) {
            if (!agent.transfer(&message)) return 1;
        } else break;
    } else |failure| if (failure != error.Ended) return 1;
    return 0;
}

var standard_input: i32 = 0;

fn fill(context: *anyopaque, buffer: []u8) input_module.Error!usize {
    const fd: *const i32 = @ptrCast(@alignCast(context));
    const result = system.read(fd.*, buffer);
    return if (result.ok()) result.value else error.ReadFailed;
}

const ReadError = @import("json_reader.zig").Error;

/// A line of git-lfs.
const Message = struct {
    event: [word_length]u8 = undefined,
    event_length: usize = 0,
    operation: lfs_place.Operation = .download,
    remote: Text,
    oid: [oid_length]u8 = undefined,
    oid_length: usize = 0,
    size: u64 = 0,
    path: Text,

    fn is(message: *const Message, event: []const u8) bool {
        return std.mem.eql(u8, message.event[0..message.event_length], event);
    }

    noinline fn read(message: *Message, reader: *Reader) ReadError!void {
        message.event_length = 0;
        message.oid_length = 0;
        message.path.clear();
        if (!try reader.accept('{')) return error.Malformed;
        var name_storage: [word_length + json_string.minimum_room]u8 = undefined;
        var name: Text = .{ .storage = &name_storage };
        var value_storage: [oid_length + json_string.minimum_room]u8 = undefined;
        var is_first = true;
        while (try reader.nextMember(&is_first, &name)) {
            var value: Text = .{ .storage = &value_storage };
            if (name.equals("event")) {
                try reader.string(&value);
                message.event_length = copy(&message.event, value.bytes());
            } else if (name.equals("operation")) {
                try reader.string(&value);
                message.operation = if (value.equals("upload")) .upload else .download;
            } else if (name.equals("oid")) {
                try reader.string(&value);
                message.oid_length = copy(&message.oid, value.bytes());
            } else if (name.equals("size")) {
                message.size = try reader.count() orelse 0;
            } else if (name.equals("remote")) {
                message.remote.clear();
                try reader.string(&message.remote);
            } else if (name.equals("path")) {
                try reader.string(&message.path);
            } else try reader.skip();
        }
        if (!try reader.accept('\n')) return error.Malformed;
    }
};

fn copy(target: []u8, source: []const u8) usize {
    const count = @min(target.len, source.len);
    @memcpy(target[0..count], source[0..count]);
    return count;
}

/// Why an object was not transferred, in the words for git-lfs.
const Failure = error{ Refused, Lost, Unreadable, Unwritable, NoPlace };

const Agent = struct {
    environment: Environment,
    shim: *session.Memory,
    operation: lfs_place.Operation = .download,
    conversation: ?Conversation = null,
    said: []const u8 = "",

    fn begin(agent: *Agent, message: *const Message) bool {
        agent.operation = message.operation;
        return system.writeAll(1, "{}\n") == .SUCCESS;
    }

    /// Transfers an object and tells git-lfs what became of it; false where that does not listen.
    noinline fn transfer(agent: *Agent, message: *Message) bool {
        const oid = message.oid[0..message.oid_length];
        var buffer: install.PathBuffer = undefined;
        var path: ?[:0]const u8 = null;
        const outcome = switch (agent.operation) {
            .upload => agent.upload(message, oid),
            .download => agent.download(message, oid, &buffer, &path),
        };
        var writer = std.Io.Writer.fixed(&memory.line);
        const failure: ?Failure = if (outcome) |_| null else |found| found;
        const problem = if (failure) |found| agent.explain(found) else null;
        if (failure != null) if (path) |made| {
            _ = system.remove(made);
            path = null;
        };
        compose(&writer, oid, path, problem) catch return false;
        const is_heard = system.writeAll(1, writer.buffered()) == .SUCCESS;
        if (failure) |found| {
            // Of an upload some may be on its way.
            if (found != error.Refused or agent.operation == .upload) agent.end();
        }
        return is_heard;
    }

    fn explain(agent: *Agent, failure: Failure) []const u8 {
        return switch (failure) {
            error.Refused => agent.said,
            error.Lost => if (agent.conversation) |*conversation|
                conversation.complaint()
            else
                "airlock: the conversation with the daemon could not be begun",
            error.Unreadable => "airlock: the file to upload cannot be read, or has another size",
            error.Unwritable => "airlock: the downloaded file cannot be written below .git/lfs/tmp",
            error.NoPlace => "airlock: git does not say which URL the remote has",
        };
    }

    fn converse(agent: *Agent, message: *const Message) Failure!*Conversation {
        if (agent.conversation == null) {
            const place = lfs_place.find(
                agent.operation,
                message.remote.bytes(),
                agent.environment,
                &memory.place,
            ) orelse return error.NoPlace;
            agent.conversation = try Conversation.begin(agent, place);
        }
        return &agent.conversation.?;
    }

    noinline fn upload(agent: *Agent, message: *Message, oid: []const u8) Failure!void {
        const conversation = try agent.converse(message);
        const path = terminate(&message.path) orelse return error.Unreadable;
        const opened = system.open(path, .{ .CLOEXEC = true });
        if (!opened.ok()) return error.Unreadable;
        defer system.close(opened.descriptor());
        try conversation.ask("upload", oid, message.size);
        var answer = try conversation.next();
        if (answer.is("send")) {
            var left = message.size;
            var progress: Progress = .{ .oid = oid };
            while (left > 0) {
                const room = memory.copied[0..@min(left, memory.copied.len)];
                const result = system.read(opened.descriptor(), room);
                if (!result.ok() or result.value == 0) return error.Unreadable;
                // Where that fails the daemon has something to say.
                const bytes = room[0..result.value];
                if (system.writeAll(conversation.speaks, bytes) != .SUCCESS) break;
                left -= result.value;
                progress.note(result.value);
            }
            answer = try conversation.next();
        }
        return agent.conclude(conversation, &answer);
    }

    noinline fn download(
        agent: *Agent,
        message: *Message,
        oid: []const u8,
        buffer: *install.PathBuffer,
        path: *?[:0]const u8,
    ) Failure!void {
        const conversation = try agent.converse(message);
        const directory = conversation.temporary orelse return error.Unwritable;
        const pid = linux.getpid();
        const made = std.fmt.bufPrintZ(buffer, "{s}/airlock-{s}-{d}", .{ directory, oid, pid }) catch
            return error.Unwritable;
        const flags: linux.O = .{ .ACCMODE = .WRONLY, .CREAT = true, .EXCL = true, .CLOEXEC = true };
        const opened = system.resultOf(linux.open(made, flags, 0o666));
        if (!opened.ok()) return error.Unwritable;
        path.* = made;
        defer system.close(opened.descriptor());
        try conversation.ask("download", oid, message.size);
        var progress: Progress = .{ .oid = oid };
        while (true) {
            const answer = try conversation.next();
            if (!answer.is("data")) return agent.conclude(conversation, &answer);
            var left = answer.count;
            while (left > 0) {
                const bytes = try conversation.take(left);
                if (system.writeAll(opened.descriptor(), bytes) != .SUCCESS) return error.Unwritable;
                left -= bytes.len;
                progress.note(bytes.len);
            }
        }
    }

    fn conclude(agent: *Agent, conversation: *Conversation, answer: *const Answer) Failure!void {
        if (answer.is("done")) return;
        if (!answer.is("error")) return error.Lost;
        var length: usize = 0;
        var left = answer.count;
        while (left > 0) {
            const bytes = try conversation.take(left);
            length += copy(memory.complaint[length..], bytes);
            left -= bytes.len;
        }
        agent.said = memory.complaint[0..length];
        return error.Refused;
    }

    fn end(agent: *Agent) void {
        if (agent.conversation) |*conversation| conversation.end();
        agent.conversation = null;
    }
};

/// `text` with a NUL behind it; null where it is too long for a path.
fn terminate(text: *Text) ?[:0]const u8 {
    if (text.overflowed or text.length == text.storage.len) return null;
    text.storage[text.length] = 0;
    return text.storage[0..text.length :0];
}

fn compose(
    writer: *std.Io.Writer,
    oid: []const u8,
    path: ?[]const u8,
    problem: ?[]const u8,
) std.Io.Writer.Error!void {
    try writer.writeAll("{\"event\":\"complete\",\"oid\":");
    try json_text.encode(writer, oid);
    if (path) |found| {
        try writer.writeAll(",\"path\":");
        try json_text.encode(writer, found);
    }
    if (problem) |text| {
        try writer.writeAll(",\"error\":{\"code\":1,\"message\":");
        try json_text.encode(writer, text);
        try writer.writeByte('}');
    }
    try writer.writeAll("}\n");
}

/// Tells git-lfs how far an object is.
const Progress = struct {
    oid: []const u8,
    done: u64 = 0,
    told: u64 = 0,

    fn note(progress: *Progress, count: usize) void {
        progress.done += count;
        const fresh = progress.done - progress.told;
        if (fresh < step) return;
        progress.told = progress.done;
        var buffer: [256]u8 = undefined;
        const line = std.fmt.bufPrint(
            &buffer,
            "{{\"event\":\"progress\",\"oid\":\"{s}\",\"bytesSoFar\":{d},\"bytesSinceLast\":{d}}}\n",
            .{ progress.oid, progress.done, fresh },
        ) catch return;
        _ = system.writeAll(1, line);
    }
};

/// A word of the daemon, and the number behind it.
const Answer = struct {
    line: [word_length]u8 = undefined,
    word: usize = 0,
    count: u64 = 0,

    fn is(answer: *const Answer, word: []const u8) bool {
        return std.mem.eql(u8, answer.line[0..answer.word], word);
    }
};

/// The shim as `git-remote`, in a process of its own.
const Conversation = struct {
    child: i32,
    speaks: i32,
    hears: i32,
    complains: i32,
    temporary: ?[]const u8,
    /// The bytes of `memory.answers` that were not taken.
    start: usize = 0,
    stop: usize = 0,

    fn begin(agent: *Agent, place: lfs_place.Place) Failure!Conversation {
        var pipes: [3][2]i32 = @splat(.{ -1, -1 });
        for (&pipes) |*pipe| if (!system.makePipe(pipe)) return error.Lost;
        const child = system.resultOf(linux.fork());
        if (child.ok() and child.value == 0) become(agent, place, &pipes);
        system.close(pipes[0][0]);
        system.close(pipes[1][1]);
        system.close(pipes[2][1]);
        const conversation: Conversation = .{
            .child = @intCast(@as(isize, @bitCast(child.value))),
            .speaks = pipes[0][1],
            .hears = pipes[1][0],
            .complains = pipes[2][0],
            .temporary = place.temporary,
        };
        if (!child.ok()) return error.Lost;
        return conversation;
    }

    fn become(agent: *const Agent, place: lfs_place.Place, pipes: *const [3][2]i32) noreturn {
        const own = [3]i32{ pipes[0][0], pipes[1][1], pipes[2][1] };
        for (own, 0..) |fd, number| _ = linux.dup2(fd, @intCast(number));
        for (pipes) |pipe| for (pipe) |fd| system.close(fd);
        const words = [_][*:0]const u8{ @tagName(agent.operation), @tagName(place.kind), place.url };
        const invocation: session.Invocation = .{
            .command = "git-remote",
            .first = "lfs",
            .args = &words,
            .environment = agent.environment,
            .stdio = stdio.prepare(),
        };
        const named = invocation_module.find(agent.environment, "AIRLOCK_SOCKET");
        linux.exit_group(session.run(&invocation, named, agent.shim));
    }

    fn ask(conversation: *Conversation, word: []const u8, oid: []const u8, size: u64) Failure!void {
        var buffer: [word_length + oid_length + 32]u8 = undefined;
        const line = std.fmt.bufPrint(&buffer, "{s} {s} {d}\n", .{ word, oid, size }) catch
            return error.Lost;
        // The daemon may have refused before, and said why.
        if (system.writeAll(conversation.speaks, line) != .SUCCESS) return error.Lost;
    }

    /// What the daemon says next.
    fn next(conversation: *Conversation) Failure!Answer {
        var answer: Answer = .{};
        var length: usize = 0;
        while (true) {
            const byte = (try conversation.take(1))[0];
            if (byte == '\n') break;
            if (length == answer.line.len) return error.Lost;
            answer.line[length] = byte;
            length += 1;
        }
        const line = answer.line[0..length];
        answer.word = std.mem.indexOfScalar(u8, line, ' ') orelse length;
        if (answer.word < length) {
            answer.count = std.fmt.parseInt(u64, line[answer.word + 1 ..], 10) catch
                return error.Lost;
        }
        return answer;
    }

    /// Some of the bytes that come, at least one and at most so many.
    noinline fn take(conversation: *Conversation, most: u64) Failure![]const u8 {
        if (conversation.start == conversation.stop) {
            const result = system.read(conversation.hears, &memory.answers);
            if (!result.ok() or result.value == 0) return error.Lost;
            conversation.start = 0;
            conversation.stop = result.value;
        }
        const there = memory.answers[conversation.start..conversation.stop];
        const bytes = there[0..@min(there.len, most)];
        conversation.start += bytes.len;
        return bytes;
    }

    /// What the shim has said on its stderr, once it has ended.
    fn complaint(conversation: *Conversation) []const u8 {
        conversation.wait();
        var length: usize = 0;
        while (length < memory.complaint.len) {
            const result = system.readNow(conversation.complains, memory.complaint[length..]);
            if (!result.ok() or result.value == 0) break;
            length += result.value;
        }
        if (length == 0) return "airlock: the daemon ended the conversation";
        return std.mem.trimRight(u8, memory.complaint[0..length], "\n");
    }

    /// Says nothing more, and waits for the end of the shim.
    fn wait(conversation: *Conversation) void {
        if (conversation.speaks < 0) return;
        system.close(conversation.speaks);
        conversation.speaks = -1;
        var status: u32 = undefined;
        while (system.resultOf(linux.waitpid(conversation.child, &status, 0)).errno == .INTR) {}
    }

    fn end(conversation: *Conversation) void {
        // Nobody must wait for what is not read any more.
        system.close(conversation.hears);
        conversation.wait();
        system.close(conversation.complains);
    }
};

test "what became of an object is a line of JSON" {
    var buffer: [256]u8 = undefined;
    var writer = std.Io.Writer.fixed(&buffer);
    try compose(&writer, "ab", "/tmp/\"x", null);
    try compose(&writer, "ab", null, "no\nway");
    try std.testing.expectEqualStrings(
        \\{"event":"complete","oid":"ab","path":"/tmp/\"x"}
        \\{"event":"complete","oid":"ab","error":{"code":1,"message":"no\nway"}}
        \\
    , writer.buffered());
}
