import pytest
from drawings import SCALE, SEED

from mstclipiqa.synthetic.miniature import draw_benchmark


@pytest.fixture(scope="session")
def suite(tmp_path_factory):
    """A function that draws a benchmark on its first use and returns its folder."""
    data_root = tmp_path_factory.mktemp("miniature")

    def folder(name):
        root = data_root / name
        if not root.exists():
            draw_benchmark(name, root, SEED, SCALE)
        return root

    return folder
