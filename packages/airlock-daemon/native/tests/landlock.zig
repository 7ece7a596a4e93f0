const std = @import("std");
const linux = std.os.linux;
const failed = @import("../errno.zig").failed;
const landlock = @import("../landlock.zig");
const Rule = landlock.Rule;
const confine = landlock.confine;

/// The first version of Landlock that `confine` can use.
const oldest = 6;

/// The kernel's version of Landlock; 0 where it has none, or has switched it off.
fn version() usize {
    const flag_version = 1;
    const found = linux.syscall3(.landlock_create_ruleset, 0, 0, flag_version);
    return if (failed(found) == null) found else 0;
}

/// Runs `attempt` in a child that is confined to `rules`; the errno of the attempt, as its exit status.
fn attemptConfined(rules: []const Rule, connects: bool, attempt: *const fn () ?linux.E) !linux.E {
    const pid: i32 = @intCast(linux.fork());
    if (pid == 0) {
        _ = linux.prctl(@intFromEnum(linux.PR.SET_NO_NEW_PRIVS), 1, 0, 0, 0);
        if (confine(rules, .{ .connects = connects })) |_| linux.exit_group(255);
        linux.exit_group(if (attempt()) |errno| @intFromEnum(errno) else 0);
    }
    var status: u32 = 0;
    _ = linux.wait4(pid, &status, 0, null);
    if (!linux.W.IFEXITED(status) or linux.W.EXITSTATUS(status) == 255) return error.NotConfined;
    return @enumFromInt(linux.W.EXITSTATUS(status));
}

fn openPath(path: [*:0]const u8) i32 {
    return @intCast(linux.open(path, .{ .PATH = true, .CLOEXEC = true }, 0));
}

fn opens(path: [*:0]const u8, flags: linux.O) ?linux.E {
    return failed(linux.open(path, flags, 0o600));
}

const Attempt = struct {
    fn readsPasswords() ?linux.E {
        return opens("/etc/passwd", .{});
    }
    fn readsProgram() ?linux.E {
        return opens("/usr/bin/env", .{});
    }
    fn writesProgram() ?linux.E {
        return opens("/usr/bin/env", .{ .ACCMODE = .WRONLY });
    }
    fn makesThere() ?linux.E {
        return opens("/tmp/airlock-landlock-test", .{ .ACCMODE = .WRONLY, .CREAT = true });
    }
    fn makesDevice() ?linux.E {
        const null_device = (1 << 8) | 3;
        const mode = linux.S.IFCHR | 0o600;
        return failed(linux.mknod("/tmp/airlock-landlock-device", mode, null_device));
    }
    fn usesDevice() ?linux.E {
        return opens("/dev/null", .{ .ACCMODE = .RDWR });
    }
    fn signalsParent() ?linux.E {
        return failed(linux.kill(linux.getppid(), 0));
    }
    fn bindsPort() ?linux.E {
        const made = linux.socket(linux.AF.INET, linux.SOCK.STREAM, 0);
        if (failed(made)) |errno| return errno;
        const address = linux.sockaddr.in{ .port = 0, .addr = std.mem.nativeToBig(u32, 0x7f000001) };
        return failed(linux.bind(@intCast(made), @ptrCast(&address), @sizeOf(@TypeOf(address))));
    }
};

test "what no rule names is out of reach, and what one names is as it says" {
    if (version() < oldest) return error.SkipZigTest;
    const usr = Rule{ .descriptor = openPath("/usr"), .access = .read };
    const tmp = Rule{ .descriptor = openPath("/tmp"), .access = .write };
    const nothing = Rule{ .descriptor = openPath("/dev/null"), .access = .use };
    const rules = [_]Rule{ usr, tmp, nothing };
    const expect = std.testing.expectEqual;
    try expect(.ACCES, try attemptConfined(&rules, false, Attempt.readsPasswords));
    try expect(.SUCCESS, try attemptConfined(&rules, false, Attempt.readsProgram));
    try expect(.ACCES, try attemptConfined(&rules, false, Attempt.writesProgram));
    try expect(.SUCCESS, try attemptConfined(&rules, false, Attempt.makesThere));
    _ = linux.unlink("/tmp/airlock-landlock-test");
    try expect(.ACCES, try attemptConfined(rules[0..1], false, Attempt.makesThere));
    try expect(.SUCCESS, try attemptConfined(&rules, false, Attempt.usesDevice));
    try expect(.ACCES, try attemptConfined(rules[0..2], false, Attempt.usesDevice));
}

test "devices, other processes and ports are out of reach whatever the rules" {
    if (version() < oldest) return error.SkipZigTest;
    const all = [_]Rule{.{ .descriptor = openPath("/"), .access = .write }};
    const expect = std.testing.expectEqual;
    // Without the right to make devices the kernel says EPERM before Landlock is asked.
    const device = try attemptConfined(&all, true, Attempt.makesDevice);
    try std.testing.expect(device == .ACCES or device == .PERM);
    try expect(.PERM, try attemptConfined(&all, true, Attempt.signalsParent));
    try expect(.ACCES, try attemptConfined(&all, true, Attempt.bindsPort));
}
