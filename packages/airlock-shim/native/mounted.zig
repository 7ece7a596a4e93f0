//! `--kernel`, `--mounted` and `--read-only` of `--exec`: whether the engine mounted what `run` has
//! looked at, and where it was to.
//!
//! An engine mounts by path, and whoever can write above that path can put something else there
//! after `run` has looked. A mount stays what it was when it was made, so a comparison from inside
//! of the container, before its command begins, comes too late for no swap.
//!
//! A path that leads through a workspace may also have led the engine to another place in the
//! container. So each path must be the root of a mount, and a read-only one where that was said:
//! then every mount that `run` asked for is at its own path, and none is left over.
//!
//! Device and inode are the same on both sides of a bind mount. They are not where the engine runs
//! on another kernel, in a virtual machine: its boot id is another one, and nothing is compared.

const std = @import("std");
const system = @import("system.zig");
const diagnostics = @import("diagnostics.zig");
const exit_status = @import("exit_status.zig");
const lines = @import("lines.zig");
const report = diagnostics.report;
const linux = system.linux;

const kernel = "--kernel=";
const mounted = "--mounted=";
const read_only = "--read-only=";

pub const Outcome = union(enum) {
    /// The words that follow the options.
    command: []const [*:0]const u8,
    /// The exit status, where something is not as the options say; that has been reported.
    refused: u8,
};

/// Compares what the options at the beginning of `words` name. A word that is none of the two, or
/// `--`, ends them.
pub fn compare(words: []const [*:0]const u8) Outcome {
    var is_same_kernel = true;
    for (words, 0..) |pointer, at| {
        const word = std.mem.span(pointer);
        const is_read_only = std.mem.startsWith(u8, word, read_only);
        if (std.mem.startsWith(u8, word, kernel)) {
            is_same_kernel = isThisBoot(word[kernel.len..]);
        } else if (is_read_only or std.mem.startsWith(u8, word, mounted)) {
            const named = read(word[(if (is_read_only) read_only else mounted).len..]) orelse {
                report(&.{ .{ .plain = "cannot make sense of: " }, .{ .shown = word } });
                diagnostics.advise(.{ .plain = "airlock-shim --help" });
                return .{ .refused = exit_status.usage };
            };
            if (is_same_kernel and !named.isMounted(is_read_only)) {
                report(&.{
                    .{ .shown = named.path },
                    .{ .plain = " is not what airlock-daemon run has looked at: something was " ++
                        "put in its place before the engine mounted it" },
                });
                diagnostics.advise(.{ .plain = "find out on the host what replaced it, and start " ++
                    "the container again" });
                return .{ .refused = exit_status.denied };
            }
        } else {
            // The listener that is to be started has this process's words, among which pkill(1)
            // would find these paths.
            for (words[0..at]) |option| @memset(@constCast(std.mem.span(option)), 0);
            return .{ .command = words[at + @intFromBool(std.mem.eql(u8, word, "--")) ..] };
        }
    }
    return .{ .command = &.{} };
}

const Named = struct {
    major: u32,
    minor: u32,
    inode: u64,
    path: [:0]const u8,

    fn isMounted(named: Named, is_read_only: bool) bool {
        // Once, since the path may lead elsewhere at any time.
        const opened = system.open(named.path, .{ .PATH = true, .CLOEXEC = true });
        if (!opened.ok()) return false;
        const fd = opened.descriptor();
        defer system.close(fd);
        const found = system.identifyMount(fd) orelse return false;
        return found.file.major == named.major and found.file.minor == named.minor and
            found.file.inode == named.inode and found.may_be_root and
            (found.is_read_only or !is_read_only);
    }
};

/// `MAJOR:MINOR:INODE:PATH`, of which the path may have colons in it.
fn read(text: [:0]const u8) ?Named {
    var fields = std.mem.splitScalar(u8, text, ':');
    return .{
        .major = number(u32, &fields) orelse return null,
        .minor = number(u32, &fields) orelse return null,
        .inode = number(u64, &fields) orelse return null,
        .path = text[fields.index orelse return null ..],
    };
}

fn number(comptime T: type, fields: *std.mem.SplitIterator(u8, .scalar)) ?T {
    return std.fmt.parseUnsigned(T, fields.next() orelse return null, 10) catch null;
}

/// Whether `id` is the boot id of the kernel that this runs on; also true where that has none to
/// be read.
fn isThisBoot(id: []const u8) bool {
    var boot: Boot = .{ .wanted = id };
    lines.forEach("/proc/sys/kernel/random/boot_id", &boot, Boot.take);
    return boot.is_same;
}

const Boot = struct {
    wanted: []const u8,
    is_same: bool = true,

    fn take(boot: *Boot, line: []const u8) bool {
        boot.is_same = std.mem.eql(u8, boot.wanted, line);
        return false;
    }
};

test "an option names a device, an inode and a path with any characters" {
    const named = read("254:1:18446744073709551615:/a:b") orelse return error.NotRead;
    try std.testing.expectEqual(@as(u32, 254), named.major);
    try std.testing.expectEqual(@as(u32, 1), named.minor);
    try std.testing.expectEqual(std.math.maxInt(u64), named.inode);
    try std.testing.expectEqualStrings("/a:b", named.path);
}

test "what is incomplete or no number is not read" {
    for ([_][:0]const u8{ "", "1", "1:2", "1:2:3", "-1:2:3:/a", "1::3:/a", "1:2:x:/a" }) |text| {
        try std.testing.expectEqual(null, read(text));
    }
}
