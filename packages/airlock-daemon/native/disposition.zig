//! What the kernel does with a signal that is not blocked (sigaction(2)).

const linux = @import("std").os.linux;
const failed = @import("errno.zig").failed;

/// `linux.SIG.DFL` or `linux.SIG.IGN`.
const Handler = @TypeOf(linux.SIG.DFL);

/// Why the disposition could not be set; null if it was.
pub fn set(signal: u8, handler: Handler) ?linux.E {
    const action = linux.Sigaction{
        .handler = .{ .handler = handler },
        .mask = linux.sigemptyset(),
        .flags = 0,
    };
    return failed(linux.sigaction(signal, &action, null));
}

/// Give every signal that can have another one its default disposition.
pub fn resetAll() void {
    for (1..linux.NSIG) |signal| switch (signal) {
        linux.SIG.KILL, linux.SIG.STOP => {},
        else => _ = set(@intCast(signal), linux.SIG.DFL),
    };
}
