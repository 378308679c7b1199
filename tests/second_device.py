"""A second device on every machine: torch's lazy tensors, which compute when they are asked.

Imported by each test that switches devices, so that the backend starts once in a process.
"""

import torch._lazy.ts_backend

torch._lazy.ts_backend.init()
LAZY = "lazy"
