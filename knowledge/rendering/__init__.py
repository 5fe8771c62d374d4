"""Pages as HTML for a browser and as text for a terminal."""

from knowledge.rendering.html import is_web_address, to_html
from knowledge.rendering.text import printable, to_text

__all__ = ["is_web_address", "printable", "to_html", "to_text"]
