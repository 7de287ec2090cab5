"""What all tests share."""

from __future__ import annotations

import pytest

import weft


@pytest.fixture(autouse=True)
def threads_of_its_own():
    """A test that sets the number of threads leaves no trace."""
    yield
    weft.config.set_num_threads(0)
