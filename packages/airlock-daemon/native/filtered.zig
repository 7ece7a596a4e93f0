//! For the tests: prints the filters, or runs a program under one. No part of any package.
//!
//!     filtered PROCESSOR SOCKETS              the program, as the kernel takes it, on stdout
//!     filtered run SOCKETS PROGRAM [ARG...]   PROGRAM by its path, with this environment
//!     filtered wait                           says `waiting`, and waits for the end of stdin

const std = @import("std");
const linux = std.os.linux;
const seccomp = @import("seccomp/install.zig");
const program = @import("seccomp/program.zig");

pub fn main() u8 {
    const words = std.os.argv;
    if (words.len == 2 and std.mem.eql(u8, std.mem.span(words[1]), "wait")) return wait();
    if (words.len < 3) return 64;
    const sockets = std.meta.stringToEnum(seccomp.Sockets, std.mem.span(words[2])) orelse return 64;
    if (std.meta.stringToEnum(program.Processor, std.mem.span(words[1]))) |processor| {
        const bytes = std.mem.sliceAsBytes(find(processor, sockets));
        return if (linux.write(1, bytes.ptr, bytes.len) == bytes.len) 0 else 74;
    }
    if (words.len < 4) return 64;
    seccomp.install(sockets) catch |fault| {
        const name = @errorName(fault);
        _ = linux.write(2, name.ptr, name.len);
        return 70;
    };
    _ = linux.execve(words[3], @ptrCast(words[3..].ptr), @ptrCast(std.os.environ.ptr));
    return 127;
}

fn wait() u8 {
    var byte: [1]u8 = undefined;
    _ = linux.write(1, "waiting\n", 8);
    while (linux.read(0, &byte, byte.len) == byte.len) {}
    return 0;
}

fn find(processor: program.Processor, sockets: seccomp.Sockets) []const program.Instruction {
    switch (processor) {
        inline else => |each| switch (sockets) {
            inline else => |allowed| return comptime program.build(each, allowed),
        },
    }
}
