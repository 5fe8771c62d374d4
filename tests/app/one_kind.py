"""For tests of which nothing depends on the kind of database: what they import from here takes the
place of the fixture that goes through all kinds."""

import pytest


@pytest.fixture
def kind() -> str:
    return "sqlite"
