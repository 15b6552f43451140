"""Text that somebody typed, shown so that it cannot steer a terminal or pass for something else.

Rules:
- What does not print is shown as its escape: control characters (an ANSI sequence begins with one),
  line ends within a text, marks that turn the direction of writing (Unicode's general categories
  Other and Separator, but for the space).
- A text that prints is left as it is, in whatever script.
"""

from __future__ import annotations


def visible(text: str) -> str:
    """The text with escapes for what does not print. A JSON string reads the escapes back."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def visible_lines(text: str) -> str:
    """The same, line by line: ends of lines stay."""
    return "\n".join(map(visible, text.split("\n")))


def _escape(char: str) -> str:
    """`\\uXXXX`; beyond U+FFFF as two surrogates, as JSON has it."""
    raw = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[at : at + 2].hex()}" for at in range(0, len(raw), 2))
