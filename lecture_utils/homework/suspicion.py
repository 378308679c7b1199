"""Marks of an attack on the grader, found by reading a cell's code. A human decides about them.

Honest homework has no use for these. The list is short on purpose: a flag on honest work costs
trust, and code that is written to hide can hide from any list.
"""

import ast
import re

LIBRARIES = {"np", "numpy", "torch", "nn", "F", "lu", "lecture_utils", "builtins", "sys", "math"}
NAMES = {
    "_getframe": "looks into its caller's frames",
    "currentframe": "looks into its caller's frames",
    "f_back": "looks into its caller's frames",
    "f_locals": "looks into its caller's frames",
    "f_globals": "looks into its caller's frames",
    "tb_frame": "looks into frames",
    "__code__": "touches the code of a function",
    "__closure__": "touches the inside of a function",
    "__subclasses__": "lists all classes",
    "__builtins__": "touches the builtins",
    "ast_transformers": "changes how IPython reads cells",
    "input_transformers_post": "changes how IPython reads cells",
    "get_ipython": "talks to IPython",
    "settrace": "sets a trace function",
    "setprofile": "sets a profile function",
}
MODULES = {
    "ctypes": "calls C functions",
    "gc": "looks at all objects in memory",
    "socket": "uses the network",
    "urllib": "uses the network",
    "requests": "uses the network",
    "http": "uses the network",
    "subprocess": "runs commands",
    "multiprocessing": "starts processes",
    "threading": "starts threads",
    "signal": "changes what signals do",
    "importlib": "loads modules by name",
    "builtins": "touches the builtins",
    "nbgrader": "uses the grader",
    "sqlite3": "opens databases",
    "inspect": "inspects running code",
    "atexit": "runs something at the end",
}
METHODS = {
    "__eq__": "defines what is equal",
    "__ne__": "defines what is equal",
    "__bool__": "defines what is true",
    "__array__": "defines how it becomes an array",
    "__torch_function__": "defines what torch does with it",
    "__array_ufunc__": "defines what NumPy does with it",
    "__array_function__": "defines what NumPy does with it",
    "__class__": "states a class of its own",
    "__instancecheck__": "defines what is an instance",
}
CALLS = {
    "exec": "runs text as code",
    "eval": "runs text as code",
    "compile": "runs text as code",
    "__import__": "loads modules by name",
    "setattr": "sets attributes by name",
    "delattr": "deletes attributes by name",
    "open": "opens a file",
    "_exit": "ends the process",
    "kill": "sends a signal",
    "fork": "starts a process",
    "system": "runs commands",
}


def suspicions(source: str) -> list[str]:
    """What in the code of a cell a human should look at; each once, in order of appearance."""
    found: list[str] = []
    code = re.sub(r"^\s*[%!?].*$", "", source, flags=re.MULTILINE)
    if re.search(r"^\s*!", source, re.MULTILINE):
        found.append("runs commands")
    try:
        nodes = list(ast.walk(ast.parse(code)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return found
    for node in nodes:
        if isinstance(node, ast.Attribute | ast.Name):
            name = node.attr if isinstance(node, ast.Attribute) else node.id
            if name in NAMES:
                found.append(NAMES[name])
        if isinstance(node, ast.Import):
            parts = [alias.name.partition(".")[0] for alias in node.names]
            found += [MODULES[part] for part in parts if part in MODULES]
        if isinstance(node, ast.ImportFrom) and node.module:
            part = node.module.partition(".")[0]
            if part in MODULES:
                found.append(MODULES[part])
        if isinstance(node, ast.ClassDef):
            bound = [n for n in node.body if isinstance(n, ast.FunctionDef | ast.Assign)]
            names = [n.name for n in bound if isinstance(n, ast.FunctionDef)]
            names += [
                t.id
                for n in bound
                if isinstance(n, ast.Assign)
                for t in n.targets
                if isinstance(t, ast.Name)
            ]
            found += [METHODS[name] for name in names if name in METHODS]
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            method = isinstance(node.func, ast.Attribute)
            # net.eval() and re.compile() are nobody's attack.
            if name in CALLS and not (method and name in ("eval", "compile")):
                found.append(CALLS[name])
        if isinstance(node, ast.Assign | ast.AugAssign | ast.Delete):
            targets = [node.target] if isinstance(node, ast.AugAssign) else node.targets
            for target in targets:
                if isinstance(target, ast.Attribute) and _root(target) in LIBRARIES:
                    found.append(f"assigns to {ast.unparse(target)[:60]}")
    return list(dict.fromkeys(found))


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
