//! The standard descriptors on their way to the tool (the feature `fds`).
//!
//! A pipe, a terminal and /dev/null ride as they are. The tool must not get a file, as one that
//! runs with more rights could open it again and write where this user cannot, nor a socket. For
//! these the shim makes a pipe, and moves the bytes between the two itself.

const system = @import("system.zig");
const stdio = @import("stdio.zig");
const Channel = @import("channel.zig").Channel;
const Relay = @import("relay.zig").Relay;

pub const Memory = [3][64 * 1024]u8;

pub const Passing = struct {
    /// The three that are sent.
    given: [3]i32,
    /// Those of them that are ends of our own pipes.
    is_ours: [3]bool = @splat(false),
    /// By the number of the standard descriptor. One may serve both stdout and stderr.
    relays: [3]?Relay = @splat(null),
    /// The reading end of the pipe that stdin is relayed through, kept where stdin is a file: what
    /// is left in it is what the tool did not take. -1 elsewhere.
    stdin_pipe: i32 = -1,

    /// Null where the pipes that it takes are not to be had.
    pub fn prepare(descriptors: *const [3]stdio.Descriptor, memory: *Memory) ?Passing {
        var passing: Passing = .{ .given = .{ 0, 1, 2 } };
        for (descriptors, 0..) |descriptor, number| {
            if (descriptor.kind.canBePassed()) continue;
            if (number == 2 and passing.relays[1] != null and
                descriptor.isSameFile(descriptors[1]))
            {
                // Through one pipe, so that what was written first comes out first.
                passing.given[2] = passing.given[1];
                continue;
            }
            if (!passing.makeRelay(number, descriptor, &memory[number])) {
                passing.closeGiven();
                passing.abandon();
                return null;
            }
        }
        return passing;
    }

    fn makeRelay(
        passing: *Passing,
        number: usize,
        descriptor: stdio.Descriptor,
        buffer: []u8,
    ) bool {
        var ends: [2]i32 = undefined;
        if (!system.makePipe(&ends)) return false;
        const ours: usize = if (number == 0) 1 else 0;
        passing.given[number] = ends[1 - ours];
        passing.is_ours[number] = true;
        const pipe: Channel = .{ .fd = ends[ours], .kind = .pipe };
        const theirs = Channel.of(descriptor);
        passing.relays[number] = .{
            .source = if (number == 0) theirs else pipe,
            .destination = if (number == 0) pipe else theirs,
            .buffer = buffer,
        };
        if (number == 0 and descriptor.kind == .file) passing.stdin_pipe = ends[0];
        return true;
    }

    /// The daemon has them by now: the tool's ends of our pipes are closed, so that each pipe ends
    /// when the tool is done with it.
    pub fn closeGiven(passing: *Passing) void {
        for (passing.given, passing.is_ours) |fd, is_ours| {
            if (is_ours and fd != passing.stdin_pipe) system.close(fd);
        }
    }

    /// They are in use. The shim lets go of what the tool has itself, so that the process at the
    /// other end sees when the tool is done with it. stderr is kept for what the shim has to say;
    /// with `holds_stdout` stdout too, where its end has to come after that.
    pub fn begin(
        _: *const Passing,
        descriptors: *const [3]stdio.Descriptor,
        holds_stdout: bool,
    ) void {
        for (descriptors[0..if (holds_stdout) 1 else 2]) |descriptor| {
            if (descriptor.kind == .pipe) system.close(descriptor.fd);
        }
    }

    /// Whether the shim has a part in it while the command runs.
    pub fn takesPart(passing: *const Passing) bool {
        for (passing.relays) |relay| if (relay != null) return true;
        return false;
    }

    /// They are not in use: the pipes are closed.
    pub fn abandon(passing: *Passing) void {
        for (0..3) |number| passing.endRelay(number);
        if (passing.stdin_pipe >= 0) system.close(passing.stdin_pipe);
        passing.stdin_pipe = -1;
    }

    pub fn endRelay(passing: *Passing, number: usize) void {
        const relay = if (passing.relays[number]) |*relay| relay else return;
        if (!relay.is_open) return;
        relay.is_open = false;
        system.close(if (number == 0) relay.destination.fd else relay.source.fd);
    }

    /// Sets the position of a file on stdin back by what the tool did not take, as if the tool had
    /// read the file itself: the next reader finds the rest.
    pub fn restorePosition(passing: *Passing) void {
        if (passing.stdin_pipe < 0) return;
        const relay = if (passing.relays[0]) |*relay| relay else return;
        const left = system.bytesReadable(passing.stdin_pipe) + (relay.end - relay.start);
        system.seekBack(relay.source.fd, left);
        system.close(passing.stdin_pipe);
        passing.stdin_pipe = -1;
    }
};
