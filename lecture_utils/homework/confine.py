"""What a process that runs a student's code gives up: called inside the sandbox, after a fork.

bubblewrap confines the grader's warm parent: no network, a file system of its own, read-only.
A child of that parent must not reach the parent or the next student either, and cannot be started
through bubblewrap any more, since it lives on the parent's memory. So it takes the last steps
itself, with the same system calls: a user and a process number space of its own, in which neither
the parent nor its `/proc` can be seen, a scratch folder of its own, limits, no capability, and a
filter that refuses the system calls which could undo it (namespaces(7), seccomp(2)).
"""

import ctypes
import os
import platform
import resource
import signal
import struct
from typing import Any

NEW = {"user": 0x10000000, "mount": 0x20000, "pid": 0x20000000, "net": 0x40000000}
NEW |= {"ipc": 0x08000000, "uts": 0x04000000}
READ_ONLY, NOSUID, NODEV, NOEXEC, RECURSIVE, PRIVATE = 1, 2, 4, 8, 0x4000, 0x40000
DUMPABLE, NO_NEW_PRIVILEGES, SECCOMP, FILTER, DEATH_SIGNAL = 4, 38, 22, 2, 1
NOBODY = 65534
SCRATCH = "/scratch"
"""The one folder that a student's code may write to. Not `/tmp`: the lecture may lie there."""

# Numbers of the refused calls: x86_64, aarch64 (asm/unistd.h). Each could widen the view (mount
# and its kin, new namespaces), reach other processes (ptrace), or hold memory that no limit counts.
REFUSED = {
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "open_by_handle_at": (304, 265),
    "io_uring_setup": (425, 425), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "mount_setattr": (442, 442), "shmget": (29, 194),
}  # fmt: skip
CLONE, CLONE3 = (56, 220), 435
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: Any) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def hide_from_children() -> None:
    """Make this process unreadable for processes of the same user."""
    _call("prctl", DUMPABLE, 0, 0, 0, 0)


def become_nobody() -> None:
    """Leave root for good: groups, then group, then user. Does nothing for others."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def own_namespaces() -> None:
    """A user, mount, process, network and IPC namespace for the children to come."""
    user, group = os.getuid(), os.getgid()
    _call("prctl", DUMPABLE, 1, 0, 0, 0)  # or /proc/self belongs to root
    _call("unshare", sum(NEW.values()))
    for file, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{file}", "w") as handle:
            handle.write(text)


def own_files(scratch: int) -> None:
    """An empty `/proc` and `/dev/shm`, and `SCRATCH` with room for `scratch` bytes."""
    _call("mount", b"none", b"/", None, ctypes.c_ulong(RECURSIVE | PRIVATE), None)
    for folder, size in (("/proc", 4096), ("/dev/shm", scratch), (SCRATCH, scratch)):
        if os.path.isdir(folder):
            options = f"size={size},nr_inodes=4096,mode=1777".encode()
            closed = READ_ONLY if folder == "/proc" else 0
            flags = ctypes.c_ulong(NOSUID | NODEV | NOEXEC | closed)
            _call("mount", b"tmpfs", folder.encode(), b"tmpfs", flags, options)
    os.chdir(SCRATCH)


def limit(memory: int, processes: int, file_size: int, cpu_seconds: int) -> None:
    """Limits of the kernel: bytes of address space beyond today's, processes and threads, bytes
    of a file, seconds of processor time."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    space = pages * resource.getpagesize() + memory
    for name, value in (
        ("AS", space),
        ("NPROC", processes),
        ("FSIZE", file_size),
        ("CPU", cpu_seconds),
        ("NOFILE", 256),
        ("CORE", 0),
        ("MSGQUEUE", 0),
    ):
        number = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(number)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (value, value))


def drop_capabilities() -> None:
    """Give up every capability, those in the own user namespace too."""
    header = struct.pack("Ii", 0x20080522, 0)
    _call("capset", header, struct.pack("6I", *([0] * 6)))


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("HBBI", code, yes, no, value)


def refuse_calls() -> None:
    """Install the filter of system calls. Raises OSError on an architecture it does not know."""
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise OSError(f"no filter of system calls for {machine}")
    column, architecture = ARCHITECTURES[machine]
    load, equal, more, has, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    kill, allow, denied, absent = 0x80000000, 0x7FFF0000, 0x00050001, 0x00050026
    program = [
        _step(load, 4),
        _step(equal, architecture, 1, 0),
        _step(answer, kill),
        _step(load, 0),
    ]
    if machine == "x86_64":  # the same calls under other numbers
        program += [_step(more, 0x40000000, 0, 1), _step(answer, denied)]
    for numbers in REFUSED.values():
        program += [_step(equal, numbers[column], 0, 1), _step(answer, denied)]
    # clone3 hides its flags from a filter: libc falls back on clone when it is absent.
    program += [_step(equal, CLONE3, 0, 1), _step(answer, absent)]
    program += [_step(equal, CLONE[column], 0, 3), _step(load, 16)]
    program += [_step(has, NEW["user"], 0, 1), _step(answer, denied), _step(answer, allow)]
    code = ctypes.create_string_buffer(b"".join(program))
    head = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    _call("prctl", NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _call("prctl", SECCOMP, FILTER, head, 0, 0)


def die_with_parent() -> None:
    """End when the parent ends."""
    _call("prctl", DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
