"""The notebook that a browser test drives."""

from collections.abc import Iterator

import pytest
from lab import Notebook, opened


@pytest.fixture(scope="module")
def notebook(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Notebook]:
    """The lecture part of the test file's ``NOTEBOOK``, changed first by its ``edit`` if any."""
    edit = getattr(request.module, "edit", lambda lecture: None)
    with opened(tmp_path_factory.mktemp("lab"), request.module.NOTEBOOK, edit, 600) as made:
        yield made
