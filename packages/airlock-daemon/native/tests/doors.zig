const std = @import("std");
const linux = std.os.linux;
const doors = @import("../doors.zig");
const nameAbstract = doors.nameAbstract;
const parse = doors.parse;

test "addresses of both families are read, with their port" {
    try std.testing.expectEqual(linux.AF.INET, parse("127.0.0.1:3128").?.any.family);
    try std.testing.expectEqual(3128, parse("127.0.0.1:3128").?.getPort());
    try std.testing.expectEqual(linux.AF.INET6, parse("[::1]:65535").?.any.family);
    inline for (.{ "", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "localhost:80", "[::1]", "::1:80", "[]:1" }) |bad|
        try std.testing.expect(parse(bad) == null);
}

test "an abstract name has a length of its own, and is not empty" {
    const address = nameAbstract("airlock-docker").?;
    try std.testing.expectEqual(0, address.path[0]);
    try std.testing.expectEqualStrings("airlock-docker", std.mem.sliceTo(address.path[1..], 0));
    try std.testing.expect(nameAbstract("") == null);
    try std.testing.expect(nameAbstract("x" ** 108) == null);
    try std.testing.expect(nameAbstract("x" ** 107) != null);
}
