//! The process that makes a container's APIs reachable at a port of its loopback.
//!
//! `--exec` starts it before it executes its command in its own place, so that the command is the
//! parent. It must not be in that command's way:
//!
//! - It is cloned without a signal for its end, so that wait(2) does not see it: a supervisor that
//!   waits for all of its children would wait for ever. (An emulator of another processor refuses
//!   that, and there it is an ordinary child.)
//! - It leaves the session and blocks all signals: neither Ctrl-C nor a supervisor's SIGTERM to all
//!   may end it before the command.
//! - It has no descriptor of the command's, and ends when the command does, which a pidfd says
//!   whatever user the command has become.
//!
//! Of several in one container, as `docker exec` starts them, the first listens. Each of the others
//! waits for the end of the one before it, and then listens in its place: their commands may live
//! longer. They find each other by an abstract unix socket (unix(7)), which belongs to the network
//! namespace as the port does, and whose name has the port and the agent's directory.

const std = @import("std");
const system = @import("system.zig");
const socket_module = @import("socket.zig");
const error_number = @import("error_number.zig");
const diagnostics = @import("diagnostics.zig");
const Path = @import("socket_path.zig").Path;
const published_ports = @import("published_ports.zig");
const tcp_relays = @import("tcp_relays.zig");
const linux = system.linux;
const report = diagnostics.report;

/// The name of the daemon's socket in the agent's directory.
pub const socket_name = "https.sock";

const retry_ms = 1;
const most_tries = 1000;

/// Starts it for this process; false where it cannot be, which is reported. `directory` is the
/// agent's, as an absolute path, and `words` are the command's.
pub fn start(directory: *const Path, port: u16, words: []const [*:0]const u8) bool {
    const path = Path.join(&.{ directory.bytes(), "/", socket_name }) orelse {
        reportFailure(port, .NAMETOOLONG);
        return false;
    };
    const lock = Lock.of(directory, port);
    var state = take(&lock, port);
    if (state == .failed) {
        reportFailure(port, state.failed);
        return false;
    }
    const memory = system.map(@sizeOf(tcp_relays.Memory)) orelse {
        reportFailure(port, .NOMEM);
        return false;
    };
    const command = linux.getpid();
    const opened = system.resultOf(linux.pidfd_open(command, 0));
    const served: i32 = if (opened.ok()) opened.descriptor() else -1;
    var withdrawing: [2]i32 = undefined;
    if (!system.makePipe(&withdrawing)) {
        reportFailure(port, .MFILE);
        return false;
    }
    const child = cloneUnseen();
    if (!child.ok()) {
        reportFailure(port, child.errno);
        return false;
    }
    if (child.value != 0) {
        // It closes its end when it has withdrawn.
        system.close(withdrawing[1]);
        var nothing: [1]u8 = undefined;
        _ = system.read(withdrawing[0], &nothing);
        return true;
    }
    if (served < 0) {
        _ = linux.prctl(@intFromEnum(linux.PR.SET_PDEATHSIG), linux.SIG.KILL, 0, 0, 0);
        if (linux.getppid() != command) linux.exit_group(0);
    }
    const descriptors = state.descriptors();
    withdraw(words, .{ served, descriptors[0], descriptors[1] });
    serve(&state, &lock, port, &path, served, @ptrCast(@alignCast(memory)));
    linux.exit_group(0);
}

const State = union(enum) {
    listening: struct { tcp: i32, lock: i32 },
    /// A connection to the process that listens now.
    following: i32,
    failed: system.Errno,

    fn descriptors(state: State) [2]i32 {
        return switch (state) {
            .listening => |sockets| .{ sockets.tcp, sockets.lock },
            .following => |fd| .{ fd, -1 },
            .failed => .{ -1, -1 },
        };
    }
};

fn serve(
    state: *State,
    lock: *const Lock,
    port: u16,
    path: *const Path,
    served: i32,
    memory: *tcp_relays.Memory,
) void {
    while (true) switch (state.*) {
        .listening => |sockets| {
            var relays: tcp_relays.Relays = .{
                .memory = memory,
                .listeners = [_]i32{sockets.tcp} ++ [_]i32{-1} ** published_ports.most,
                .ports = .beside(path),
                .successors = sockets.lock,
                .served = served,
                .path = path,
            };
            return relays.run();
        },
        .following => |fd| {
            // What is negative is passed over (poll(2)).
            var waiting = [_]linux.pollfd{
                .{ .fd = served, .events = linux.POLL.IN, .revents = 0 },
                .{ .fd = fd, .events = linux.POLL.IN, .revents = 0 },
            };
            if (!system.resultOf(linux.poll(&waiting, waiting.len, -1)).ok()) continue;
            if (waiting[0].revents != 0) return;
            system.close(fd);
            state.* = take(lock, port);
        },
        .failed => return,
    };
}

/// Becomes the one that listens, or finds the one that does.
fn take(lock: *const Lock, port: u16) State {
    for (0..most_tries) |_| {
        const made = socket_module.createNonBlocking();
        if (!made.ok()) return .{ .failed = made.errno };
        const fd = made.descriptor();
        if (lock.bind(fd) != .ADDRINUSE) return listen(fd, port);
        switch (lock.connect(fd)) {
            .SUCCESS => return .{ .following = fd },
            // It is about to listen, or has ended just now.
            else => {},
        }
        system.close(fd);
        system.pause(retry_ms);
    }
    return .{ .failed = .ADDRINUSE };
}

/// Listens for clients, and at `lock` for those that would follow.
fn listen(lock: i32, port: u16) State {
    _ = linux.listen(lock, socket_module.backlog);
    const made = socket_module.listenAtLoopback(port);
    if (made.ok()) return .{ .listening = .{ .tcp = made.descriptor(), .lock = lock } };
    system.close(lock);
    return .{ .failed = made.errno };
}

/// The address by which the processes for one port and one agent find each other.
const Lock = struct {
    address: linux.sockaddr.un,
    length: linux.socklen_t,

    fn of(directory: *const Path, port: u16) Lock {
        var lock: Lock = .{ .address = .{ .family = linux.AF.UNIX, .path = @splat(0) }, .length = 0 };
        // A directory that is gone has no identity, and no other agent's can be taken for it.
        const file = system.identify(directory.terminated()) orelse system.FileIdentity.none;
        const name = std.fmt.bufPrint(lock.address.path[1..], "airlock-https/{d}/{x}:{x}/{x}", .{
            port, file.major, file.minor, file.inode,
        }) catch unreachable;
        lock.length = @intCast(@offsetOf(linux.sockaddr.un, "path") + 1 + name.len);
        return lock;
    }

    fn bind(lock: *const Lock, fd: i32) system.Errno {
        return system.resultOf(linux.bind(fd, @ptrCast(&lock.address), lock.length)).errno;
    }

    fn connect(lock: *const Lock, fd: i32) system.Errno {
        return system.resultOf(linux.connect(fd, @ptrCast(&lock.address), lock.length)).errno;
    }
};

/// fork(2), but for the signal at the child's end.
fn cloneUnseen() system.Result {
    const cloned = system.resultOf(linux.syscall5(.clone, 0, 0, 0, 0, 0));
    return if (cloned.errno == .INVAL) system.resultOf(linux.fork()) else cloned;
}

/// Gives up all that the process shares with the command, but for three descriptors, which are -1 or
/// greater than 2. The command's words would be taken for the command by pkill(1).
fn withdraw(words: []const [*:0]const u8, descriptors: [3]i32) void {
    _ = linux.setsid();
    const all = linux.sigfillset();
    _ = linux.sigprocmask(linux.SIG.SETMASK, &all, null);
    _ = linux.prctl(@intFromEnum(linux.PR.SET_NAME), @intFromPtr("airlock-https"), 0, 0, 0);
    for (words) |word| @memset(@constCast(std.mem.span(word)), 0);
    _ = linux.chdir("/");
    // What is written to it fails, and there need be no /dev.
    const root = system.open("/", .{ .PATH = true });
    if (root.ok()) for (0..3) |number| {
        _ = linux.dup2(root.descriptor(), @intCast(number));
    };
    var limit: linux.rlimit = undefined;
    if (system.resultOf(linux.getrlimit(.NOFILE, &limit)).ok()) {
        limit.cur = limit.max;
        _ = linux.setrlimit(.NOFILE, &limit);
    }
    // Last, since the command begins when the end of its pipe is closed.
    var kept = descriptors;
    std.mem.sort(i32, &kept, {}, std.sort.asc(i32));
    var first: u32 = 3;
    for (kept) |fd| {
        if (fd < 0) continue;
        const number: u32 = @intCast(fd);
        if (number > first) system.closeRange(first, number - 1);
        first = number + 1;
    }
    system.closeRange(first, std.math.maxInt(u32));
}

fn reportFailure(port: u16, errno: system.Errno) void {
    var buffer: [8]u8 = undefined;
    report(&.{
        .{ .plain = "cannot listen at port " },
        .{ .plain = std.fmt.bufPrint(&buffer, "{d}", .{port}) catch unreachable },
        .{ .plain = " of 127.0.0.1: " },
        .{ .plain = error_number.describe(errno) },
    });
    diagnostics.advise(.{ .plain = "the container's tools reach the agent's APIs there; set " ++
        "AIRLOCK_PROXY_PORT to another port, from 1024 to 65535" });
}
