//! Reads what is in a directory (getdents64(2)).

const std = @import("std");
const linux = std.os.linux;
const failed = @import("errno.zig").failed;

/// The names in an open directory but for `.` and `..`.
pub const Reader = struct {
    directory: i32,
    /// Why there is no further name; null at the end.
    fault: ?linux.E = null,
    entries: [2048]u8 align(@alignOf(linux.dirent64)) = undefined,
    size: usize = 0,
    offset: usize = 0,

    /// The next name, valid until the one after it; null at the end, or with a `fault`.
    pub fn next(reader: *Reader) ?[:0]const u8 {
        while (true) {
            if (reader.offset == reader.size) {
                reader.offset = 0;
                reader.size = linux.getdents64(reader.directory, &reader.entries, reader.entries.len);
                reader.fault = failed(reader.size);
                if (reader.fault != null) reader.size = 0;
                if (reader.size == 0) return null;
            }
            const entry: *align(1) const linux.dirent64 = @ptrCast(&reader.entries[reader.offset]);
            reader.offset += entry.reclen;
            const name = std.mem.span(@as([*:0]const u8, @ptrCast(&entry.name)));
            if (!std.mem.eql(u8, name, ".") and !std.mem.eql(u8, name, "..")) return name;
        }
    }
};
