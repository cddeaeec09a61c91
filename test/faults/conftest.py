import pytest

from faults.lab import Lab


@pytest.fixture
def lab(tmp_path, weir):
    """A folder with a pipeline from topic `in` to topic `out` and table `rows`, dead letters to `dead`."""
    return Lab(tmp_path, weir)
