"""HTTP routes as ASP.NET templates: `migrations/{id}`, `files/{*path}`, `page/{number:int?}`."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from local.host.settings import HostError

_CONSTRAINTS = {
    "int": re.compile(r"[+-]?\d{1,10}"),
    "long": re.compile(r"[+-]?\d{1,19}"),
    "bool": re.compile(r"(?i:true|false)"),
    "guid": re.compile(r"(?i:\{?[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\}?)"),
    "alpha": re.compile(r"[A-Za-z]+"),
    "decimal": re.compile(r"[+-]?\d+(?:\.\d+)?"),
    "double": re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"),
    "float": re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"),
    "required": re.compile(r".+", re.DOTALL),
}
_LENGTH = re.compile(r"(length|minlength|maxlength|min|max|range)\((\d+)(?:,(\d+))?\)")


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a template between slashes."""

    text: str  # the literal, or the parameter's name
    kind: str  # literal, parameter, optional, rest
    constraints: tuple[str, ...] = ()

    @property
    def rank(self) -> int:
        """How specific it is: lower matches first."""
        if self.kind == "literal":
            return 0
        return {"parameter": 2, "optional": 2, "rest": 4}[self.kind] - bool(self.constraints)

    def takes(self, value: str) -> bool:
        """Whether the segment accepts a decoded path segment."""
        if self.kind == "literal":
            return self.text.lower() == value.lower()
        return all(_satisfies(constraint, value) for constraint in self.constraints)


class Route:
    """A parsed template."""

    def __init__(self, template: str) -> None:
        self.template = template.strip("/")
        parts = re.findall(r"(?:\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|[^/{}])+", self.template)
        self.segments = tuple(_segment(part, self.template) for part in parts)
        for segment in self.segments[:-1]:
            if segment.kind in ("rest", "optional"):
                raise HostError(f"route '{template}': '{segment.text}' may only be the last segment")

    @property
    def precedence(self) -> tuple[int, ...]:
        """Sort key: the most specific route first."""
        return tuple(segment.rank for segment in self.segments)

    def match(self, path: str) -> dict[str, str] | None:
        """Return the parameters of a raw URL path without its prefix, None if it does not match."""
        values = [unquote(value) for value in path.strip("/").split("/")] if path.strip("/") else []
        parameters: dict[str, str] = {}
        for position, segment in enumerate(self.segments):
            if segment.kind == "rest":
                rest = "/".join(values[position:])
                if rest:
                    parameters[segment.text] = rest
                return parameters
            if position >= len(values):
                return parameters if segment.kind == "optional" else None
            if not segment.takes(values[position]):
                return None
            if segment.kind != "literal":
                parameters[segment.text] = values[position]
        return parameters if len(values) == len(self.segments) else None


def _segment(text: str, template: str) -> Segment:
    if "{" not in text:
        return Segment(text, "literal")
    if not (text.startswith("{") and text.endswith("}")):
        raise HostError(f"route '{template}': a segment that mixes text and a parameter is not supported by this host")
    inner = text[1:-1]
    rest = inner.startswith("*")
    inner = inner.lstrip("*")
    optional = inner.endswith("?")
    name, *constraints = re.split(r":(?![^()]*\))", inner.removesuffix("?"))
    for constraint in constraints:
        if constraint not in _CONSTRAINTS and not _LENGTH.fullmatch(constraint) and not constraint.startswith("regex("):
            raise HostError(f"route '{template}': this host does not know the constraint '{constraint}'")
    kind = "rest" if rest else "optional" if optional else "parameter"
    return Segment(name, kind, tuple(constraints))


def _satisfies(constraint: str, value: str) -> bool:
    if constraint in _CONSTRAINTS:
        return _CONSTRAINTS[constraint].fullmatch(value) is not None
    if constraint.startswith("regex("):
        return re.search(constraint[len("regex(") : -1], value, re.IGNORECASE) is not None
    found = _LENGTH.fullmatch(constraint)
    if found is None:
        return False
    kind, low, high = found.group(1), int(found.group(2)), found.group(3)
    if kind in ("min", "max", "range"):
        if re.fullmatch(r"-?\d+", value) is None:
            return False
        size = int(value)
    else:
        size = len(value)
    least = 0 if kind in ("maxlength",) else low
    if kind == "max":
        return size <= low
    if kind == "maxlength":
        return size <= low
    if kind == "length" and high is None:
        return size == low
    return size >= least and (high is None or size <= int(high))
