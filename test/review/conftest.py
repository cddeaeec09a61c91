import pytest

from faults.lab import Lab


@pytest.fixture
def lab(tmp_path, weir):
    """A folder with a pipeline; each test says which."""
    return Lab(tmp_path, weir)
