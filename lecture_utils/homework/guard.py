"""Notices, inside the sandbox, when a student's code changes the library that checks it.

Code in one process can change any other code of that process. So the functions and classes that
checks rely on are remembered before the student's code runs, compared after it, and put back
before each check. What Python reports about itself (audit events, PEP 578) adds the ways around:
looking into the callers' frames, at all objects, at memory. This finds what is usual; it is no
proof against somebody who knows this file.
"""

import builtins
import copy
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

# All modules of lecture_utils are guarded, and of others what a check may call.
MODULES = {
    "builtins", "copy", "functools", "importlib", "inspect", "itertools", "json", "math",
    "operator", "random",
    "numpy", "numpy.linalg", "numpy.random", "numpy.testing",
    "torch", "torch.linalg", "torch.nn", "torch.nn.functional", "torch.nn.init", "torch.optim",
    "torch.random", "torch.testing", "torch.autograd",
}  # fmt: skip
CLASSES = ("torch.Tensor", "torch.nn.Module", "torch.nn.Parameter", "torch.Generator")
EVENTS = {
    "sys._getframe": "looks into its caller's frames",
    "sys._current_frames": "looks into other threads' frames",
    "sys.settrace": "sets a trace function",
    "sys.setprofile": "sets a profile function",
    "sys.addaudithook": "adds an audit hook",
    "gc.get_objects": "lists all objects in memory",
    "gc.get_referrers": "looks for who holds an object",
    "gc.get_referents": "looks for what an object holds",
    "ctypes.dlopen": "calls C functions",
    "ctypes.dlsym": "calls C functions",
    "ctypes.addressof": "works on raw memory",
    "ctypes.string_at": "works on raw memory",
    "os.system": "runs a command",
    "os.exec": "runs a command",
    "os.posix_spawn": "runs a command",
    "os.fork": "starts a process",
    "subprocess.Popen": "runs a command",
    "socket.connect": "opens a connection",
    "socket.getaddrinfo": "asks for a network address",
    "socket.bind": "opens a port",
    "object.__setattr__": "changes the code of a function",
}
PARTS = {"__code__", "__defaults__", "__kwdefaults__"}
# IPython sets the first two; torch the last, whenever its default type changes.
NOT_GUARDED = {"display", "get_ipython", "Storage"}


def _parts(function: Any) -> tuple[Any, ...]:
    """What makes a Python function what it is, beyond its identity."""
    if isinstance(function, types.FunctionType):
        return (function.__code__, function.__defaults__, function.__kwdefaults__)
    return ()


def _acts(value: Any) -> bool:
    return callable(value) or isinstance(value, property | classmethod | staticmethod)


class Guard:
    """Remembers the functions and classes of the modules that checks use."""

    def __init__(self) -> None:
        self._kept: list[tuple[str, Any, dict[str, tuple[Any, tuple[Any, ...]]]]] = []
        self._modules: dict[str, Any] = {}
        for name, module in sorted(sys.modules.items()):
            if module is not None and (name in MODULES or name.split(".")[0] == "lecture_utils"):
                self._modules[name] = module
                self._keep(name, module, vars(module))
        package = sys.modules["lecture_utils"]
        # Where the package finds the names that it loads on first use.
        self._tables = {k: v for k, v in vars(package).items() if isinstance(v, dict | list)}
        self._tables = {k: (v, copy.deepcopy(v)) for k, v in self._tables.items() if k[:2] != "__"}
        for path in CLASSES:
            module, _, name = path.rpartition(".")
            kind = getattr(sys.modules.get(module), name, None)
            if kind is not None:
                self._keep_class(path, kind)

    def _keep(self, name: str, owner: Any, names: dict[str, Any]) -> None:
        kept = {}
        for key, value in list(names.items()):
            acts = _acts(value) or isinstance(value, types.ModuleType)
            if acts and key not in NOT_GUARDED:
                kept[key] = (value, _parts(value))
                if isinstance(value, type) and value.__module__.startswith("lecture_utils"):
                    self._keep_class(f"{name}.{key}", value)
        self._kept.append((name, owner, kept))

    def _keep_class(self, name: str, kind: type) -> None:
        kept = {k: (v, _parts(v)) for k, v in vars(kind).items() if _acts(v)}
        self._kept.append((name, kind, kept))

    def restore(self) -> list[str]:
        """Put back what was changed; its names."""
        changed = []
        for name, module in self._modules.items():
            if sys.modules.get(name) is not module:
                changed.append(f"sys.modules[{name!r}]")
                sys.modules[name] = module
        package = vars(self._modules["lecture_utils"])
        for name, (table, kept) in self._tables.items():
            if package.get(name) is not table or table != kept:
                changed.append(f"lecture_utils.{name}")
                table.clear()
                table.update(kept) if isinstance(table, dict) else table.extend(kept)
                package[name] = table
        for name, owner, kept in self._kept:
            names = vars(owner)
            if isinstance(owner, type) or name.split(".")[0] == "lecture_utils":
                # A new name can hide an inherited method, or one that is loaded on first use.
                for key in [k for k in names if k not in kept and _acts(names[k])]:
                    changed.append(f"{name}.{key}")
                    delattr(owner, key)
            for key, (value, parts) in kept.items():
                now = names.get(key)
                if now is not value:
                    changed.append(f"{name}.{key}")
                    setattr(owner, key, value)
                if parts and _parts(value) != parts:
                    changed.append(f"{name}.{key}")
                    value.__code__, value.__defaults__, value.__kwdefaults__ = parts
        return changed


def watch(is_students: Callable[[str], bool]) -> list[str]:
    """From now on, note what code in a file for which `is_students` holds does of `EVENTS`.

    Returns the list that fills. An audit hook cannot be removed.
    """
    notes: list[str] = []
    busy = False
    frame_of = sys._getframe

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal busy
        if busy or event not in EVENTS:
            return
        if event == "object.__setattr__" and arguments[1] not in PARTS:
            return
        busy = True
        try:
            caller = frame_of(1)
            # inspect.currentframe() and the like stand between.
            while caller is not None and caller.f_code.co_filename.endswith(
                ("/inspect.py", "/subprocess.py", "/socket.py", "/os.py", "ctypes/__init__.py")
            ):
                caller = caller.f_back
            theirs = caller is not None and is_students(caller.f_code.co_filename)
            if theirs and EVENTS[event] not in notes:
                notes.append(EVENTS[event])
        finally:
            busy = False

    sys.addaudithook(hook)
    return notes


def fresh_builtins() -> dict[str, Any]:
    """A copy of the builtins for the namespace of checks."""
    return dict(vars(builtins))


def names_of(values: Iterable[str], most: int = 5) -> str:
    """The first few of `values`, for a message."""
    values = sorted(set(values))
    return ", ".join(values[:most]) + (", ..." if len(values) > most else "")
