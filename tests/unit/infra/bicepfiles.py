"""Reads Bicep files into what the infrastructure tests ask about: parameters, resources, modules, outputs, references.

The grammar is tree-sitter-bicep's. It is not the compiler: types of Azure resources are unknown to it. What it can tell
is told by the tests; the compiler and its linter have the last word.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tree_sitter
import tree_sitter_bicep

ROOT = Path(__file__).parents[3]
INFRA = ROOT / "infra"
PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))

Node = tree_sitter.Node


def text(node: Node) -> str:
    return (node.text or b"").decode()


def walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from walk(child)


@dataclass
class Parameter:
    name: str
    type: str
    default: Node | None
    decorators: dict[str, Node | None]

    @property
    def required(self) -> bool:
        return self.default is None

    @property
    def allowed(self) -> set[str] | None:
        node = self.decorators.get("allowed")
        if node is not None:
            return {text(one) for one in node.children if one.type in ("string", "number")}
        if "|" in self.type:
            return {part.strip("() '[]") for part in self.type.split("|")}
        return None

    def number(self, decorator: str) -> int | None:
        node = self.decorators.get(decorator)
        return None if node is None else int(text(node))


@dataclass
class Declared:
    """A resource or a module."""

    symbol: str
    kind: str  # Microsoft.X/y@version, or the path of a module
    body: Node
    existing: bool
    conditional: bool
    looped: bool
    line: int
    comment: str = ""

    def property(self, *path: str) -> Node | None:
        return member(self.body, *path)


@dataclass
class UserFunction:
    """A user-defined function: its parameters' names, and its expression."""

    name: str
    parameters: list[str]
    types: list[Node]
    body: Node
    exported: bool


@dataclass
class UserType:
    """A user-defined object type: its properties' types, and which of them may be left out."""

    name: str
    properties: dict[str, Node]
    exported: bool

    @property
    def optional(self) -> set[str]:
        return {name for name, one in self.properties.items() if one.type == "nullable_type"}


@dataclass
class BicepFile:
    path: Path
    root: Node
    parameters: dict[str, Parameter] = field(default_factory=dict)
    types: dict[str, UserType] = field(default_factory=dict)
    functions: dict[str, UserFunction] = field(default_factory=dict)
    imports: dict[str, "BicepFile"] = field(default_factory=dict)
    variables: dict[str, Node] = field(default_factory=dict)
    outputs: dict[str, Node] = field(default_factory=dict)
    output_decorators: dict[str, set[str]] = field(default_factory=dict)
    resources: dict[str, Declared] = field(default_factory=dict)
    modules: dict[str, Declared] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.path.relative_to(INFRA))

    def module_file(self, module: Declared) -> "BicepFile":
        return read(self.path.parent / module.kind)

    def user_type(self, name: str) -> UserType | None:
        """A type declared here or imported."""
        return self.types.get(name) or (self.imports[name].types.get(name) if name in self.imports else None)

    def user_function(self, name: str) -> tuple[UserFunction, "BicepFile"] | None:
        """A function declared here or imported, with the file it is in."""
        if name in self.functions:
            return self.functions[name], self
        return (self.imports[name].functions[name], self.imports[name]) if name in self.imports else None

    def references(self) -> set[str]:
        """Names that expressions use (not the names of properties or of declarations)."""
        found = set()
        for node in walk(self.root):
            if node.type == "identifier" and is_reference(node):
                found.add(text(node))
        return found


def is_reference(node: Node) -> bool:
    parent = node.parent
    if parent is None:
        return False
    if parent.type.endswith("_declaration") or parent.type == "user_defined_function":
        return parent.children.index(node) > 1  # not the declared name itself
    if parent.type in ("object_property", "lambda_expression"):
        return parent.children[0] != node
    if parent.type in ("parameter", "import_functionality"):
        return False
    if parent.type == "call_expression":
        return parent.child_by_field_name("function") != node
    if parent.type == "resource_expression":
        return parent.children[0] == node
    if parent.type == "parenthesized_expression" and parent.parent is not None:
        above = parent.parent
        return not (above.type == "lambda_expression" and above.children[0] == parent)
    return not (parent.type == "for_statement" and node.prev_sibling is not None and node.prev_sibling.type == "for")


def member(node: Node, *path: str) -> Node | None:
    """The value at a path of property names inside an object node."""
    for name in path:
        found = None
        for entry in node.children:
            if entry.type == "object_property" and text(entry.children[0]).strip("'") == name:
                found = entry.children[-1]
        if found is None:
            return None
        node = found
    return node


def literal(node: Node | None) -> str | None:
    """The text of a string without interpolation, or None."""
    if node is None or node.type != "string" or any(one.type == "interpolation" for one in node.children):
        return None
    return "".join(text(one) for one in node.children[1:-1])


def errors(root: Node) -> list[str]:
    return [
        f"line {node.start_point.row + 1}: {text(node)[:60]!r}"
        for node in walk(root)
        if node.type == "ERROR" or node.is_missing
    ]


def local_names(root: Node) -> set[str]:
    """Names that loops and lambdas give to what they go through."""
    found = set()
    for node in walk(root):
        after_for = node.prev_sibling is not None and node.prev_sibling.type == "for"
        if node.type in ("loop_variable", "loop_enumerator") or (node.type == "identifier" and after_for):
            found.add(text(node))
        elif node.type == "lambda_expression":
            found.update(text(one) for one in walk(node.children[0]) if one.type == "identifier")
    return found


@functools.cache
def read(path: Path) -> BicepFile:
    path = path.resolve()
    root = PARSER.parse(path.read_bytes()).root_node
    file = BicepFile(path, root)
    _declarations(file, root.children)
    return file


def all_files() -> list[BicepFile]:
    return [read(path) for path in sorted(INFRA.rglob("*.bicep"))]


def parameter_file(path: Path) -> tuple[Path, dict[str, Node]]:
    """The template a .bicepparam file uses, and the values it gives; `param` is read as `var`, which the grammar has."""
    text_of_file = path.read_text()
    using = next(line for line in text_of_file.splitlines() if line.startswith("using "))
    return path.parent / using.split("'")[1], parameters_of(text_of_file.replace(using, ""))


def parameters_of(source: str) -> dict[str, Node]:
    """The values that the `param` statements of a parameter file give."""
    lines = [("var " + line[6:]) if line.startswith("param ") else line for line in source.splitlines()]
    root = PARSER.parse(("\n".join(lines) + "\n").encode()).root_node
    assert not errors(root), errors(root)
    return {text(node.children[1]): node.children[-1] for node in root.children if node.type == "variable_declaration"}


def _declarations(file: BicepFile, nodes: list[Node]) -> None:
    decorators: dict[str, Node | None] = {}
    comment: list[str] = []
    for node in nodes:
        if node.type == "decorators":
            decorators = _decorators(node)
        elif node.type in ("comment", "diagnostic_comment"):
            comment.append(text(node))
        elif node.type == "object_property":  # a nested resource
            _declarations(file, node.children)
        else:
            _declare(file, node, decorators, "\n".join(comment))
            decorators, comment = {}, []


def _declare(file: BicepFile, node: Node, decorators: dict[str, Node | None], comment: str) -> None:
    if node.type == "parameter_declaration":
        kind = next(one for one in node.children if one.type == "type")
        default = node.children[-1] if any(one.type == "=" for one in node.children) else None
        name = text(node.children[1])
        file.parameters[name] = Parameter(name, text(kind), default, decorators)
    elif node.type == "type_declaration":
        _declare_type(file, node, "export" in decorators)
    elif node.type == "user_defined_function":
        _declare_function(file, node, "export" in decorators)
    elif node.type == "import_functionality":
        other = literal(node.children[-1])
        assert other is not None
        for one in node.children:
            if one.type == "identifier":
                file.imports[text(one)] = read(file.path.parent / other)
    elif node.type == "variable_declaration":
        file.variables[text(node.children[1])] = node.children[-1]
    elif node.type == "output_declaration":
        file.outputs[text(node.children[1])] = node.children[-1]
        file.output_decorators[text(node.children[1])] = set(decorators)
    elif node.type in ("resource_declaration", "module_declaration"):
        _declare_resource(file, node, comment)


def _declare_type(file: BicepFile, node: Node, exported: bool) -> None:
    name, body = text(node.children[1]), node.children[-1]
    properties = {text(one.children[0]): one.children[-1] for one in body.children if one.type == "object_property"}
    file.types[name] = UserType(name, properties, exported)


def _declare_function(file: BicepFile, node: Node, exported: bool) -> None:
    given = next(one for one in node.children if one.type == "parameters")
    parameters = [one for one in given.children if one.type == "parameter"]
    names, types = [text(one.children[0]) for one in parameters], [one.children[-1] for one in parameters]
    file.functions[text(node.children[1])] = UserFunction(
        text(node.children[1]), names, types, node.children[-1], exported
    )


def _declare_resource(file: BicepFile, node: Node, comment: str) -> None:
    body = node.children[-1]
    looped = body.type == "for_statement"
    if looped:
        body = next(one for one in reversed(body.children) if one.type in ("object", "if_statement"))
    conditional = body.type == "if_statement"
    if conditional:
        body = body.children[-1]
    kind = next(literal(one) for one in node.children if one.type == "string")
    assert kind is not None
    declared = Declared(
        text(node.children[1]),
        kind,
        body,
        any(one.type == "existing" for one in node.children),
        conditional,
        looped,
        node.start_point.row + 1,
        comment,
    )
    (file.modules if node.type == "module_declaration" else file.resources)[declared.symbol] = declared
    _declarations(file, body.children)


def _decorators(node: Node) -> dict[str, Node | None]:
    found: dict[str, Node | None] = {}
    for decorator in node.children:
        call = decorator.children[-1]
        arguments = call.child_by_field_name("arguments")
        values = [one for one in (arguments.children if arguments else []) if one.type not in ("(", ")", ",")]
        found[text(call.children[0])] = values[0] if values else None
    return found
