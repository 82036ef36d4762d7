"""Text for a terminal: what comes from a database must not move the cursor, rename the window or hide what follows."""

import unicodedata
from typing import Any


def plain(text: str) -> str:
    """Return the text with every control and formatting character but tab and line break made visible as `�`."""
    return "".join("�" if unicodedata.category(one)[0] == "C" and one not in "\n\t" else one for one in text)


def plain_values(value: Any) -> Any:
    """Return JSON with every string in it plain."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {name: plain_values(one) for name, one in value.items()}
    return [plain_values(one) for one in value] if isinstance(value, list) else value
