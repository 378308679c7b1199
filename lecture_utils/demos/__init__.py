"""The panels of the notebooks: one module a notebook, of the same name."""
