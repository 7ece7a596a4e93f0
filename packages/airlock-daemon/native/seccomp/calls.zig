//! Which system calls a box may make, by purpose. Linux on both processors names them alike; a call
//! that one processor does not have is left out there, and a name that neither knows does not compile.
//!
//! What stands here is allowed whatever its arguments are. `rules.zig` has the calls that are judged by
//! their arguments, and those that are answered with something else than EPERM. What stands in
//! neither is refused, so a call is added because a tool needs it, not because it seems harmless.

/// What a process knows and says of itself: numbers, identity, limits, resources. Without a capability
/// an identity can only be changed among those that the process has already.
const process =
    \\getpid getppid gettid getpgid getpgrp getsid setpgid setsid set_tid_address
    \\getuid geteuid getresuid getgid getegid getresgid getgroups capget
    \\setuid setreuid setresuid setfsuid setgid setregid setresgid setfsgid setgroups capset
    \\getrlimit setrlimit getrusage times getpriority ioprio_get umask uname sysinfo getcpu getrandom
;

/// Starting, ending and waiting for processes. `clone` is judged by its flags.
const children = "fork vfork execve execveat exit exit_group wait4 waitid pidfd_open";

/// Signals reach the processes of the box: it has a PID namespace, or Landlock's scope instead.
const signals =
    \\kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal
    \\rt_sigaction rt_sigprocmask rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigreturn
    \\sigaltstack signalfd signalfd4 restart_syscall pause
;

/// Memory of the process itself.
const memory =
    \\brk mmap munmap mremap mprotect madvise mincore msync membarrier mseal remap_file_pages
    \\mlock mlock2 mlockall munlock munlockall memfd_create
    \\pkey_alloc pkey_free pkey_mprotect map_shadow_stack
;

/// Threads and what they wait on; reading how a process is scheduled.
const threads =
    \\futex futex_wait futex_wake futex_waitv futex_requeue set_robust_list get_robust_list rseq
    \\sched_yield sched_getaffinity sched_getscheduler sched_getparam sched_getattr
    \\sched_get_priority_max sched_get_priority_min sched_rr_get_interval arch_prctl
;

/// Clocks can be read, timers set. Setting a clock is not for a box.
const time =
    \\time gettimeofday clock_gettime clock_getres clock_nanosleep nanosleep
    \\alarm getitimer setitimer timer_create timer_delete timer_getoverrun timer_gettime timer_settime
    \\timerfd_create timerfd_gettime timerfd_settime
;

/// From a path to a descriptor, and what is known of either.
const files =
    \\open openat openat2 creat close close_range access faccessat faccessat2
    \\stat fstat lstat fstatat64 statx statfs fstatfs readlink readlinkat getcwd chdir fchdir
    \\getdents getdents64 inotify_init inotify_init1 inotify_add_watch inotify_rm_watch
    \\getxattr lgetxattr fgetxattr getxattrat listxattr llistxattr flistxattr listxattrat
;

/// Changing the tree of files. Devices cannot be made without a capability, fifos can.
const changes =
    \\mkdir mkdirat mknod mknodat rmdir unlink unlinkat rename renameat renameat2
    \\link linkat symlink symlinkat chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat
    \\truncate ftruncate fallocate utime utimes futimesat utimensat
    \\setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat
;

/// Data in and out of descriptors that are open.
const transfer =
    \\read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek
    \\sendfile copy_file_range readahead fadvise64 cachestat flock fcntl dup dup2 dup3
    \\sync syncfs fsync fdatasync sync_file_range
;

/// Pipes, and waiting for several descriptors.
const waiting =
    \\pipe pipe2 eventfd eventfd2 select pselect6 poll ppoll
    \\epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
;

/// Talking over a socket that is there already: one end of a pair, or what the box was given.
const conversation = "recvfrom recvmsg recvmmsg shutdown getsockname getpeername getsockopt setsockopt";

/// Allowed as they are where there is no TCP; elsewhere they could connect, too.
pub const sending = "sendto sendmsg sendmmsg";

/// A box may confine itself further; neither takes anything back.
const confinement = "seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self";

/// Allowed in every box: names, separated by white space.
pub const always = process ++ "\n" ++ children ++ "\n" ++ signals ++ "\n" ++ memory ++ "\n" ++
    threads ++ "\n" ++ time ++ "\n" ++ files ++ "\n" ++ changes ++ "\n" ++ transfer ++ "\n" ++
    waiting ++ "\n" ++ conversation ++ "\n" ++ confinement;

/// Giving a socket an address or a peer: allowed where a box may have sockets that need one. Elsewhere
/// these would only serve to turn a socket that was made for something else.
pub const addressing = "bind connect listen accept accept4";
