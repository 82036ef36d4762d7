"""Findings, as checks write them."""

import pytest
from pydantic import ValidationError

from shared.errors import Finding, open_errors


@pytest.mark.parametrize("severity", ["error", "warning", "info"])
def test_a_finding_of_each_severity_holds_what_was_said_of_it(severity: str) -> None:
    found = getattr(Finding, severity)("CODE", "table", "expected a, found b.", "Do c.", count=2, examples=["x", "y"])
    assert found == Finding.model_validate(
        {
            "code": "CODE", "severity": severity, "object": "table", "message": "expected a, found b.",
            "remedy": "Do c.", "count": 2, "examples": ["x", "y"], "choices": [],
        }
    )  # fmt: skip


def test_a_finding_takes_nothing_that_the_report_would_not_show() -> None:
    more = {"rows": 3}
    with pytest.raises(ValidationError, match="rows"):
        Finding.info("CODE", "table", "found b.", **more)  # type: ignore[typeddict-item]


def test_only_errors_without_a_chosen_remedy_are_open() -> None:
    stops, too = Finding.error("A", "t", "found a."), Finding.error("B", "t", "found b.")
    remedied = stops.model_copy(update={"chosen": "drop"})
    assert open_errors([Finding.info("I", "t", "i."), stops, remedied, Finding.warning("W", "t", "w."), too]) == [
        stops,
        too,
    ]
