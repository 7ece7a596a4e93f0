//! The terminal that the shim was started on (termios(3), ioctl_tty(2)).

const std = @import("std");
const linux = std.os.linux;

pub const Size = struct { rows: u16, columns: u16 };

/// Whether the descriptor, a character device, is a terminal.
pub fn isTerminal(fd: i32) bool {
    var modes: linux.termios = undefined;
    return linux.tcgetattr(fd, &modes) == 0;
}

/// The size of the window; zeros where the terminal does not know it.
pub fn size(fd: i32) Size {
    var window: std.posix.winsize = undefined;
    if (linux.ioctl(fd, linux.T.IOCGWINSZ, @intFromPtr(&window)) != 0) {
        return .{ .rows = 0, .columns = 0 };
    }
    return .{ .rows = window.row, .columns = window.col };
}

/// Whether reading from the terminal and changing its modes would not stop this process, as they
/// stop one in the background. A terminal that does not control this session stops no process.
pub fn isForeground(fd: i32) bool {
    var group: linux.pid_t = undefined;
    if (linux.tcgetpgrp(fd, &group) != 0) return true;
    return group == @as(linux.pid_t, @intCast(linux.syscall1(.getpgid, 0)));
}

/// The modes that the terminal had before `enterRaw`. This is a variable of the process, as the
/// modes are, and as whatever ends the process must put them back: a failure of the shim's own
/// code too.
var saved: ?struct { fd: i32, modes: linux.termios } = null;

/// What becomes of output on its way to the terminal: `passed` where the other end has made line
/// ends of it already, `processed` where local programs of the same pipeline write to the terminal.
pub const Output = enum { passed, processed };

/// Hands every key on as it is typed, as the terminal at the other end does the editing. Doing it
/// again has the effect again, whatever changed the modes in between.
pub fn enterRaw(fd: i32, output: Output) void {
    var modes: linux.termios = undefined;
    if (linux.tcgetattr(fd, &modes) != 0) return;
    if (saved == null) saved = .{ .fd = fd, .modes = modes };
    makeRaw(&modes);
    if (output == .passed) modes.oflag.OPOST = false;
    _ = linux.tcsetattr(fd, .NOW, &modes);
}

/// Gives the terminal back as it was. In the background it is another program's by now.
pub fn restore() void {
    const known = saved orelse return;
    saved = null;
    if (isForeground(known.fd)) _ = linux.tcsetattr(known.fd, .NOW, &known.modes);
}

/// What cfmakeraw(3) does, but for the output.
fn makeRaw(modes: *linux.termios) void {
    modes.iflag.IGNBRK = false;
    modes.iflag.BRKINT = false;
    modes.iflag.PARMRK = false;
    modes.iflag.ISTRIP = false;
    modes.iflag.INLCR = false;
    modes.iflag.IGNCR = false;
    modes.iflag.ICRNL = false;
    modes.iflag.IXON = false;
    modes.lflag.ECHO = false;
    modes.lflag.ECHONL = false;
    modes.lflag.ICANON = false;
    modes.lflag.ISIG = false;
    modes.lflag.IEXTEN = false;
    modes.cflag.PARENB = false;
    modes.cflag.CSIZE = .CS8;
    modes.cc[@intFromEnum(linux.V.MIN)] = 1;
    modes.cc[@intFromEnum(linux.V.TIME)] = 0;
}
