from __future__ import annotations

from app.settings.document import PAGE, render
from app.settings.model import Settings


def test_the_committed_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == render(), "Run: python -m app.settings.document"


def test_every_key_is_on_the_page():
    page = render()
    assert [name for name in Settings.model_fields if name not in page] == []
