//! The commands of one supervisor, which was just forked from the service for the first of them.

const linux = @import("std").os.linux;
const box = @import("box.zig");
const command_line = @import("command_line.zig");
const control = @import("control.zig");
const delivery = @import("delivery.zig");
const failed = @import("errno.zig").failed;
const Order = @import("order.zig").Order;
const seccomp = @import("seccomp/install.zig");
const strings = @import("strings.zig");
const Supervisor = @import("supervisor.zig").Supervisor;
const places = @import("place.zig");
const tool = @import("tool.zig");

/// How many descriptors every order has after the control socket: directory, stdin, stdout, stderr. In a
/// box there is no directory among them.
const descriptor_count = 4;

/// Do what `first` asks for, then what comes over its control socket, one order after the other.
/// Return when there is nothing left to do, of a command or at all. `deaths` is a non-blocking
/// signalfd of SIGCHLD.
pub fn run(first: *const delivery.Delivery, deaths: i32) void {
    const received = first.received();
    if (received.len == 0) return;
    const socket = received[0];
    // No process inherits it: what the tool leaves behind comes to this one.
    const subreaper = @intFromEnum(linux.PR.SET_CHILD_SUBREAPER);
    if (failed(linux.prctl(subreaper, 1, 0, 0, 0))) |errno|
        return control.sendFailure(socket, .setup_failed, errno);
    var delivered = first.*;
    var descriptors = received[1..];
    while (carryOut(&delivered, descriptors, socket, deaths)) {
        delivered = waitOrder(socket) orelse return;
        descriptors = delivered.received();
    }
}

/// Do what one order asks for in a box, of which this is pid 1, and return when nothing is left of it. It
/// comes over `socket`, on which everything is reported. `deaths` is as above; of `moved` everything must be in
/// its place.
pub fn runBoxed(socket: i32, deaths: i32, wanted: *const command_line.Box, moved: *const box.Moved) void {
    // Already here: it takes a quarter of a millisecond, and nobody waits yet. All that follows may be done.
    if (seccomp.confine(wanted.sockets)) |errno| return control.sendFailure(socket, .setup_failed, errno);
    // One that is made for a command has its order already, and the daemon is spared a message.
    if (control.isSilent(socket)) control.send(socket, .waiting, 0);
    const delivered = waitOrder(socket) orelse return;
    const descriptors = delivered.received();
    var order: Order = undefined;
    var message: []const u8 = &.{};
    const place = if (delivered.whole) places.decode(delivered.message(), &message) else null;
    if (place == null or descriptors.len < descriptor_count - 1)
        return control.sendFailure(socket, .setup_failed, .INVAL);
    const further = descriptors[descriptor_count - 1 ..];
    if (strings.read(message, further, &order)) |errno|
        return control.sendFailure(socket, .setup_failed, errno);
    if (moved.check()) |errno| return control.sendFailure(socket, .directory_failed, errno);
    _ = watch(&order, &.{
        .control = socket,
        .directory = -1,
        .standard = descriptors[0 .. descriptor_count - 1].*,
        .kept = further[0..order.header.kept],
    }, &place.?, descriptors, deaths, false);
}

/// Run one command to its end. Returns whether the daemon was told that this process, which is as it
/// was before, waits for another order.
fn carryOut(delivered: *const delivery.Delivery, descriptors: []const i32, socket: i32, deaths: i32) bool {
    if (descriptors.len < descriptor_count or !delivered.whole) {
        control.sendFailure(socket, .setup_failed, .INVAL);
        return false;
    }
    var order: Order = undefined;
    const further = descriptors[descriptor_count..];
    if (strings.read(delivered.message(), further, &order)) |errno| {
        control.sendFailure(socket, .setup_failed, errno);
        return false;
    }
    const rules = if (order.header.fence) |fence| fence.rules() else 0;
    return watch(&order, &.{
        .control = socket,
        .directory = descriptors[0],
        .standard = descriptors[1..descriptor_count].*,
        .kept = further[0..order.header.kept],
        .rules = further[order.header.kept..][0..rules],
        .cgroup = if (order.header.has_cgroup) further[order.header.kept + rules] else null,
    }, null, descriptors, deaths, true);
}

/// Start the tool of an order, close `received`, and stay until nothing is left. Returns as `carryOut`, but
/// false unless this process `may_go_on`.
fn watch(
    order: *const Order,
    descriptors: *const tool.Descriptors,
    place: ?*const places.Place,
    received: []const i32,
    deaths: i32,
    may_go_on: bool,
) bool {
    const socket = descriptors.control;
    const pid = tool.start(order, descriptors, place) orelse return false;
    // From here on the tool alone holds its pipes, so that their readers see its end.
    for (received) |descriptor| _ = linux.close(descriptor);
    // Nothing that ends the service's process group may end this. It fails only in a process that has
    // done it for an earlier command, and comes last because the tool need not wait for it.
    _ = linux.setsid();
    var supervisor = Supervisor{
        .socket = socket,
        .deaths = deaths,
        .tool = pid,
        // Memory is mapped for strings that are long, which is rare: it goes with the process.
        .may_go_on = may_go_on and !order.has_memory,
        // With pid 1 go the namespaces of a box, which takes the kernel longer than the daemon needs to
        // answer its client, and holds up all processors meanwhile.
        .lingers = place != null,
    };
    return supervisor.run();
}

/// Wait for the next order. Null when the daemon has none any more.
fn waitOrder(socket: i32) ?delivery.Delivery {
    while (delivery.receive(socket) catch null) |delivered| {
        // What was said of the command before, and came too late for it, has no descriptors.
        if (delivered.count > 0) return delivered;
    }
    return null;
}
