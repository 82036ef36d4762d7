"""Names that somebody else chose, fit for errors, reports and the durable boundary: an archive's may be a megabyte long."""

LONGEST = 200


def shown(name: str) -> str:
    """Return a member's name fit for a report: printable ASCII, at most 200 characters."""
    text = name[: LONGEST + 1].encode("ascii", "backslashreplace").decode()
    return cut("".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text))


def cut(text: str, most: int = LONGEST) -> str:
    """Return the text, or its beginning where it has more than `most` characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
