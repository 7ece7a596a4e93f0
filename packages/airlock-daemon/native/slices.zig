//! How soon the kernel lets this process run when it has something to do (sched_setattr(2)).

const linux = @import("std").os.linux;
const failed = @import("errno.zig").failed;

/// struct sched_attr of linux/sched/types.h, as kernels before 5.3 have it.
const Attributes = extern struct {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    /// For the usual policy, the length of a slice in nanoseconds.
    runtime: u64,
    deadline: u64,
    period: u64,
};

/// SCHED_OTHER.
const usual = 0;

/// SCHED_FLAG_RESET_ON_FORK: what this process starts has slices as any other program.
const reset_on_fork = 1;

/// The shortest slice that there is.
const shortest_ns = 100_000;

/// Ask for short slices: this process computes briefly, and a client waits for it. It gets no more of the
/// processor, but gets it sooner. Kernels before 6.12 take it and do nothing; where the call is
/// forbidden, or the policy is another one, nothing changes.
pub fn askForShort() void {
    var attributes: Attributes = undefined;
    const result = linux.syscall4(.sched_getattr, 0, @intFromPtr(&attributes), @sizeOf(Attributes), 0);
    if (failed(result) != null or attributes.policy != usual) return;
    attributes.flags |= reset_on_fork;
    attributes.runtime = shortest_ns;
    _ = linux.syscall3(.sched_setattr, 0, @intFromPtr(&attributes), 0);
}
