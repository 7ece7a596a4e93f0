//! What a box with a list of programs may execute, as far as a filter can tell it: beside that of every box.

const linux = @import("std").os.linux;
const failed = @import("../errno.zig").failed;
const program = @import("program.zig");

const Instruction = program.Instruction;

/// What Landlock does not see is refused: files in memory that have no path.
const by_path = [_]Instruction{
    program.load(@offsetOf(linux.SECCOMP.data, "nr")),
    is(.execveat, 2),
    is(.memfd_create, 1),
    program.answer(linux.SECCOMP.RET.ALLOW),
    program.refuse(.NOSYS),
};

fn is(comptime call: linux.SYS, comptime over: u8) Instruction {
    return .{
        .code = linux.BPF.JMP | linux.BPF.JEQ | linux.BPF.K,
        .value = @intCast(@intFromEnum(call)),
        .if_true = over,
        .if_false = 0,
    };
}

/// Refuse what Landlock does not see, to this process and all that it starts; it needs no_new_privs.
pub fn keepToPaths() ?linux.E {
    const loaded = program.Program{ .length = by_path.len, .instructions = &by_path };
    return failed(linux.seccomp(linux.SECCOMP.SET_MODE_FILTER, 0, &loaded));
}
