"""The rows of every table as COPY text, made as they are read."""

from collections.abc import Iterator
from random import Random

from local.sample import values
from local.sample.model import Association, Model
from local.sample.plan import Plan
from local.sample.schema import SUBTYPE, Column, Table
from local.sample.values import NULL, Maker

BATCH = 256 * 1024  # characters handed over at once


def copy_text(table: Table, plan: Plan) -> Iterator[str]:
    """Yield a table's rows, `BATCH` characters or a little more at a time."""
    lines = _links(table.association, plan) if table.association else _objects(table, plan)
    batch: list[str] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if size >= BATCH:
            yield "".join(batch)
            batch, size = [], 0
    yield "".join(batch)


def count(table: Table, plan: Plan) -> int:
    """Return how many rows a table has."""
    if table.association:
        return plan.links(table.association)
    assert table.entity
    return plan.objects(table.entity.name)


def _objects(table: Table, plan: Plan) -> Iterator[str]:
    assert table.entity
    entity = table.entity.name
    maker = Maker(Random(f"{plan.seed} {table.name}"), plan, entity)
    columns = [_values(column, maker) for column in table.columns]
    row = 0
    for concrete, number in plan.blocks(entity):
        made = [
            _fixed(concrete) if column.name == SUBTYPE else make
            for column, make in zip(table.columns, columns, strict=True)
        ]
        for within in range(number):
            yield f"{plan.object_id(concrete, within)}\t" + "\t".join([make(row) for make in made]) + "\n"
            row += 1


def _fixed(text: str) -> values.Column:
    return lambda _row: text


def _values(column: Column, maker: Maker) -> values.Column:
    if column.attribute:
        return column.attribute.values(maker)
    if column.association:
        return _references(column.association, maker)
    return values.moment()(maker)


def _references(association: Association, maker: Maker) -> values.Column:
    if association.parent == association.child:  # a tree: the root has no parent, the others an earlier row
        any_id, draw = maker.plan.any_id(association.child), maker.random.random
        return lambda row: str(any_id(int(draw() * row))) if row and draw() < association.fill else NULL
    return values.reference(association.child, nulls=1 - association.fill)(maker)


def _links(association: Association, plan: Plan) -> Iterator[str]:
    parents, children = plan.objects(association.parent), plan.objects(association.child)
    parent_id, child_id = plan.any_id(association.parent), plan.any_id(association.child)
    draw = Random(f"{plan.seed} {association.table}").random
    for link in range(plan.links(association)):
        if association.unique_child:
            parent, child = link, link
        elif association.unique_parent:
            parent, child = link, int(draw() * children)
        else:
            # Round by round over the parents; a different child in each round, so no pair comes twice.
            parent = link % parents
            child = (parent * 7 + (link // parents) * 5 + 1) % children
        yield f"{parent_id(parent)}\t{child_id(child)}\n"


def check_links(model: Model, plan: Plan) -> None:
    """Refuse a plan in which an association table would have to hold a pair twice; ValueError names it."""
    for one in model.associations:
        if one.storage_format == 2 and plan.links(one) > plan.objects(one.parent) * plan.objects(one.child):
            raise ValueError(f"{one.name} cannot have {plan.links(one)} different links")
