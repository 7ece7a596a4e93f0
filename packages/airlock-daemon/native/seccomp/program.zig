//! The filter as a program for the kernel (seccomp(2), linux/bpf_common.h), made when this is compiled.
//!
//! It uses few kinds of instructions: those that the kernel can work out ahead for each call, so that a
//! call which is allowed whatever its arguments are costs one look at a bit (Linux 5.11 and later).

const std = @import("std");
const linux = std.os.linux;
const calls = @import("calls.zig");
const rules = @import("rules.zig");

/// struct sock_filter of linux/filter.h.
pub const Instruction = extern struct { code: u16, if_true: u8 = 0, if_false: u8 = 0, value: u32 };

/// struct sock_fprog of linux/filter.h.
pub const Program = extern struct { length: u16, instructions: [*]const Instruction };

/// The processors that there is a table for.
pub const Processor = enum { x86_64, aarch64 };

/// The program for a box that may make these sockets. By the call's number: allowed, refused with EPERM,
/// judged by its arguments, or, where this table does not know it, ENOSYS: so answers a kernel that is
/// older than the call, which libraries expect. The calls of x32 have such numbers. A call by the
/// rules of another processor ends the process.
pub fn build(comptime processor: Processor, comptime sockets: rules.Sockets) []const Instruction {
    @setEvalBranchQuota(1_000_000);
    const machine = archOf(switch (processor) {
        .x86_64 => .X86_64,
        .aarch64 => .AARCH64,
    });
    const head = [_]Instruction{
        load(@offsetOf(linux.SECCOMP.data, "arch")),
        .{ .code = jump_equal, .if_true = 1, .value = machine },
        answer(linux.SECCOMP.RET.KILL_PROCESS),
        load(@offsetOf(linux.SECCOMP.data, "nr")),
    };
    return &head ++ search(ranges(Numbers(processor), sockets));
}

/// AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64 of linux/audit.h: the ELF machine, 64 bits, little-endian.
pub fn archOf(machine: std.elf.EM) u32 {
    return 0xc000_0000 | @as(u32, @intFromEnum(machine));
}

fn Numbers(comptime processor: Processor) type {
    return switch (processor) {
        .x86_64 => linux.syscalls.X64,
        .aarch64 => linux.syscalls.Arm64,
    };
}

const Verdict = union(enum) { unknown, refused, allowed, judged: rules.Rule };

/// What is said of a call and of all that follow it, up to the next range.
const Range = struct { first: u32, verdict: Verdict };

fn ranges(comptime N: type, comptime sockets: rules.Sockets) []const Range {
    // The last entry stands for all numbers beyond the table.
    var verdicts = [_]Verdict{.unknown} ** (highest(N) + 2);
    for (std.enums.values(N)) |number| verdicts[@intFromEnum(number)] = .refused;
    allow(N, &verdicts, calls.always);
    if (sockets != .none) allow(N, &verdicts, calls.addressing);
    if (!sockets.hasInet()) allow(N, &verdicts, calls.sending);
    const judged = rules.always ++ rules.making(sockets) ++ rules.sending(sockets);
    for (judged) |rule| give(N, &verdicts, rule.name, .{ .judged = rule });
    var found: []const Range = &.{};
    for (verdicts, 0..) |verdict, number| {
        const follows = found.len > 0 and verdict != .judged and
            std.meta.activeTag(found[found.len - 1].verdict) == verdict;
        if (!follows) found = found ++ .{Range{ .first = number, .verdict = verdict }};
    }
    return found;
}

fn highest(comptime N: type) usize {
    var number: usize = 0;
    for (std.enums.values(N)) |each| number = @max(number, @intFromEnum(each));
    return number;
}

fn allow(comptime N: type, verdicts: []Verdict, comptime names: []const u8) void {
    var words = std.mem.tokenizeAny(u8, names, " \n");
    while (words.next()) |name| give(N, verdicts, name, .allowed);
}

fn give(comptime N: type, verdicts: []Verdict, comptime name: []const u8, verdict: Verdict) void {
    if (@hasField(N, name)) {
        const place = &verdicts[@intFromEnum(@field(N, name))];
        if (place.* != .refused) @compileError("two verdicts on the call " ++ name);
        place.* = verdict;
    } else if (!@hasField(linux.syscalls.X64, name) and !@hasField(linux.syscalls.Arm64, name)) {
        @compileError("there is no call " ++ name);
    }
}

/// Find the range of the number that was loaded, by halves.
fn search(comptime all: []const Range) []const Instruction {
    if (all.len == 1) return judge(all[0].verdict);
    const middle = all.len / 2;
    const low = search(all[0..middle]);
    const high = search(all[middle..]);
    const branch = Instruction{ .code = jump_at_least, .value = all[middle].first };
    if (std.math.cast(u8, low.len)) |distance| {
        var near = branch;
        near.if_true = distance;
        return &[_]Instruction{near} ++ low ++ high;
    }
    // A conditional jump reaches 255 instructions.
    var far = branch;
    far.if_false = 1;
    return &[_]Instruction{ far, .{ .code = jump, .value = low.len } } ++ low ++ high;
}

fn judge(comptime verdict: Verdict) []const Instruction {
    const rule = switch (verdict) {
        .unknown => return &.{refuse(.NOSYS)},
        .refused => return &.{refuse(.PERM)},
        .allowed => return &.{answer(linux.SECCOMP.RET.ALLOW)},
        .judged => |rule| rule,
    };
    var program: []const Instruction = &.{};
    for (rule.alternatives) |alternative| program = program ++ allowIf(alternative);
    return program ++ .{refuse(rule.refusal)};
}

/// Allow if all conditions hold; otherwise go on behind the last instruction of this.
fn allowIf(comptime conditions: []const rules.Condition) []const Instruction {
    if (conditions.len == 0) return &.{answer(linux.SECCOMP.RET.ALLOW)};
    const rest = allowIf(conditions[1..]);
    const condition = conditions[0];
    var program: []const Instruction = &.{load(argumentOffset(condition.argument))};
    if (condition.mask != 0xffff_ffff)
        program = program ++ .{Instruction{ .code = and_with, .value = condition.mask }};
    for (condition.values, 1..) |value, count| {
        const left = condition.values.len - count;
        // From the instruction after this one: over the other values to the rest, or over the rest too.
        const met: u8, const failed: u8 = .{ left, left + rest.len };
        program = program ++ .{Instruction{
            .code = jump_equal,
            .value = value,
            .if_true = if (condition.excluded) failed else met,
            .if_false = if (condition.excluded or left > 0) 0 else failed,
        }};
    }
    return program ++ rest;
}

/// Both processors are little-endian: the low half of an argument comes first.
fn argumentOffset(argument: u32) u32 {
    return @offsetOf(linux.SECCOMP.data, "arg0") + 8 * argument;
}

pub fn load(offset: u32) Instruction {
    return .{ .code = linux.BPF.LD | linux.BPF.W | linux.BPF.ABS, .value = offset };
}

pub fn answer(value: u32) Instruction {
    return .{ .code = linux.BPF.RET | linux.BPF.K, .value = value };
}

pub fn refuse(errno: linux.E) Instruction {
    return answer(linux.SECCOMP.RET.ERRNO | @as(u32, @intFromEnum(errno)));
}

const jump = linux.BPF.JMP | linux.BPF.JA;
pub const jump_equal = linux.BPF.JMP | linux.BPF.JEQ | linux.BPF.K;
const jump_at_least = linux.BPF.JMP | linux.BPF.JGE | linux.BPF.K;
pub const and_with = linux.BPF.ALU | linux.BPF.AND | linux.BPF.K;
