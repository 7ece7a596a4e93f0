//! The shim as the first process of a container (`docker run IMAGE git push`).

const system = @import("system.zig");
const signals = @import("signals.zig");
const linux = system.linux;

/// Lets Ctrl-C and `docker stop` end the shim there too. The kernel spares the first process of a
/// pid namespace every signal that it has no handler for (pid_namespaces(7)).
pub fn endOnSignals() void {
    if (linux.getpid() != 1) return;
    signals.exitOn(linux.SIG.HUP);
    signals.exitOn(linux.SIG.INT);
    signals.exitOn(linux.SIG.TERM);
}
