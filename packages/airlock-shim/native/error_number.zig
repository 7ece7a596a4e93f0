//! What the kernel's error numbers (errno(3)) mean to a person.

const std = @import("std");
const Errno = @import("system.zig").Errno;

/// An error number in words.
pub fn describe(errno: Errno) []const u8 {
    return switch (errno) {
        .NOENT => "no such file or directory",
        .NOTDIR => "a part of the path is not a directory",
        .CONNREFUSED => "nobody listens there",
        .ADDRINUSE => "another program listens there",
        .CONNRESET => "connection reset",
        .ACCES => "permission denied",
        .PERM => "operation not permitted",
        .EXIST => "it is there already",
        .ISDIR => "it is a directory",
        .BUSY => "something is mounted there",
        .ROFS => "the file system is read-only",
        .NOSPC => "no space left on the device",
        .DQUOT => "the disk quota is used up",
        .IO => "input/output error",
        .BADF => "the descriptor is closed",
        .LOOP => "too many symbolic links",
        .NAMETOOLONG => "the name is too long",
        .MFILE, .NFILE => "too many open files",
        .PROTOTYPE => "it is no stream socket",
        .NOEXEC => "it is no program for this machine",
        .@"2BIG" => "the arguments and the environment are too long",
        .NOTSOCK => "the descriptor is no such socket",
        .TOOMANYREFS => "too many descriptors are on their way",
        .AGAIN => "its queue is full",
        .NOMEM, .NOBUFS => "out of memory",
        else => |other| std.enums.tagName(Errno, other) orelse "an error without a name",
    };
}
