//! All unit tests: `zig test tests.zig`.

test {
    _ = @import("base64.zig");
    _ = @import("box_relay.zig");
    _ = @import("bridge.zig");
    _ = @import("channel.zig");
    _ = @import("client_environment.zig");
    _ = @import("command_name.zig");
    _ = @import("container.zig");
    _ = @import("diagnostics.zig");
    _ = @import("endpoint.zig");
    _ = @import("exit_status.zig");
    _ = @import("features.zig");
    _ = @import("forwarding.zig");
    _ = @import("git_helper.zig");
    _ = @import("git_program.zig");
    _ = @import("git_sign.zig");
    _ = @import("input.zig");
    _ = @import("install.zig");
    _ = @import("install_git.zig");
    _ = @import("invocation.zig");
    _ = @import("json_reader.zig");
    _ = @import("json_string.zig");
    _ = @import("json_text.zig");
    _ = @import("lfs_agent.zig");
    _ = @import("lfs_place.zig");
    _ = @import("message_tests.zig");
    _ = @import("mounted.zig");
    _ = @import("outbox.zig");
    _ = @import("output.zig");
    _ = @import("passing.zig");
    _ = @import("relay.zig");
    _ = @import("request.zig");
    _ = @import("search_path.zig");
    _ = @import("signals.zig");
    _ = @import("socket_directory.zig");
    _ = @import("socket_path.zig");
    _ = @import("stdin_stream.zig");
    _ = @import("stdio.zig");
    _ = @import("text.zig");
    _ = @import("unreachable_daemon.zig");
}
