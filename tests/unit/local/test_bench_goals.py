"""A bench says whether it met its goal only when it was measured at the goal's size."""

import pytest

from bench import harness
from bench.__main__ import _table
from bench.harness import Bench, scaled


def measured(monkeypatch, scale, measure, goal="<= 5"):
    monkeypatch.setattr(harness, "SCALE", scale)
    return Bench("one", "things", goal, measure).run()


@pytest.mark.parametrize(("scale", "met"), [(1.0, True), (0.2, None)])
def test_a_smaller_size_says_nothing_about_the_goal(monkeypatch, scale, met):
    assert measured(monkeypatch, scale, lambda: scaled(1000) / 1000).met is met


def test_a_bench_whose_size_is_not_scaled_says_so_at_every_scale(monkeypatch):
    assert measured(monkeypatch, 0.2, lambda: 3).met is True
    assert measured(monkeypatch, 0.2, lambda: 7).met is False


def test_a_bench_that_fails_has_missed_its_goal(monkeypatch):
    assert measured(monkeypatch, 0.2, lambda: 1 / 0).met is False


def test_the_table_shows_a_dash_where_nothing_is_said_about_a_goal(monkeypatch):
    shrunk = measured(monkeypatch, 0.2, lambda: scaled(1000))
    column = next(one for one in _table([shrunk]).columns if one.header == "met")
    assert list(column.cells) == ["–"]
