//! The filter of everything that the launcher starts outside of boxes: it allows all calls but two.
//!
//! A client can put a page of a file system of its own (FUSE) into a fifo of the workspace, and hold the
//! page's lock. A program that copies by splice(2) or tee(2) would move it on into a pipe that the daemon
//! reads, and whoever reads it waits, for as long as the client likes. Both calls fail with EINVAL, as for
//! a file that cannot be spliced, and programs copy instead.

const std = @import("std");
const builtin = @import("builtin");
const linux = std.os.linux;
const install = @import("install.zig");
const program = @import("program.zig");

/// Filter the calls of this process and of whatever it starts, for good. Needs no_new_privs. Does nothing
/// where the kernel has no filters, as under an emulator; otherwise the errno, if it failed.
pub fn confine() ?linux.E {
    const processor = @field(program.Processor, @tagName(builtin.cpu.arch));
    const instructions = comptime build(processor);
    const errno = install.load(instructions) orelse return null;
    return if (errno == .NOSYS) null else errno;
}

/// By the rules of the processor, and of the 32-bit one whose programs it runs too.
pub fn build(comptime processor: program.Processor) []const program.Instruction {
    return switch (processor) {
        .x86_64 => &either(
            // The calls of x32 have the same numbers, with this bit.
            refusal(linux.syscalls.X64, 0xffff_ffff ^ 0x4000_0000),
            .X86_64,
            refusal(linux.syscalls.X86, 0xffff_ffff),
        ),
        .aarch64 => &either(
            refusal(linux.syscalls.Arm64, 0xffff_ffff),
            .AARCH64,
            refusal(linux.syscalls.Arm, 0xffff_ffff),
        ),
    };
}

const Part = [6]program.Instruction;

fn either(own: Part, comptime machine: std.elf.EM, narrow: Part) [2 + 2 * own.len]program.Instruction {
    return [_]program.Instruction{
        program.load(@offsetOf(linux.SECCOMP.data, "arch")),
        .{ .code = program.jump_equal, .if_false = own.len, .value = program.archOf(machine) },
    } ++ own ++ narrow;
}

fn refusal(comptime N: type, mask: u32) Part {
    return .{
        program.load(@offsetOf(linux.SECCOMP.data, "nr")),
        .{ .code = program.and_with, .value = mask },
        .{ .code = program.jump_equal, .if_true = 1, .value = @intFromEnum(N.splice) },
        .{ .code = program.jump_equal, .if_false = 1, .value = @intFromEnum(N.tee) },
        program.refuse(.INVAL),
        program.answer(linux.SECCOMP.RET.ALLOW),
    };
}
