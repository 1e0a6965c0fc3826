from collections.abc import Iterator

import pytest
from loopback import Server


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()
