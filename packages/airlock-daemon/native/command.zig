//! One command, in a supervisor that was just forked from the service.

const linux = @import("std").os.linux;
const control = @import("control.zig");
const Delivery = @import("delivery.zig").Delivery;
const disposition = @import("disposition.zig");
const failed = @import("errno.zig").failed;
const Order = @import("order.zig").Order;
const strings = @import("strings.zig");
const Supervisor = @import("supervisor.zig").Supervisor;
const tool = @import("tool.zig");

/// Do what `delivered` asks for, and return when nothing of it is left. `deaths` is a non-blocking
/// signalfd of SIGCHLD.
pub fn run(delivered: *const Delivery, deaths: i32) void {
    const received = delivered.received();
    if (received.len == 0) return;
    const socket = received[0];
    var order: Order = undefined;
    if (strings.read(delivered, &order) orelse prepare()) |errno|
        return control.sendFailure(socket, .setup_failed, errno);
    const descriptors = tool.Descriptors{
        .control = socket,
        .directory = received[1],
        .standard = received[2..5].*,
    };
    const pid = tool.start(&order, &descriptors) orelse return;
    // From here on the tool alone holds its pipes, so that their readers see its end.
    for (received[1..]) |descriptor| _ = linux.close(descriptor);
    // Nothing that ends the service's process group may end this. It cannot fail in a process that
    // was just forked, and comes last because the tool need not wait for it.
    _ = linux.setsid();
    var supervisor = Supervisor{ .socket = socket, .deaths = deaths, .tool = pid };
    supervisor.run();
}

/// What must be so before there is a tool: its end and its orphans come to this process.
fn prepare() ?linux.E {
    // The service ignores SIGCHLD, which would keep wait(2) from seeing the tool.
    if (disposition.set(linux.SIG.CHLD, linux.SIG.DFL)) |errno| return errno;
    const subreaper = @intFromEnum(linux.PR.SET_CHILD_SUBREAPER);
    return failed(linux.prctl(subreaper, 1, 0, 0, 0));
}
