"""Remedies: what the request may choose for a finding, and how a choice changes the plan.

A choice is given as `{"CODE": choice}` for every finding of that code, or `{"CODE:table.column": choice}` for one.
"""

from collections.abc import Collection, Iterable, Mapping

from shared.errors import Finding

COLLATION = "collation:"
OF_VALUES = ("truncate", "null", "clamp", "zero", "round", "raise", "accept")
"""Remedies that change what is read and not the target's schema."""


def offered(finding: Finding, mode: str) -> Finding:
    """Return a finding with the remedies that a target mode allows: a schema that the runtime makes is not ours to change."""
    if mode == "create":
        return finding
    kept = [one for one in finding.choices if one in OF_VALUES]
    lost = [f"`{one}`" for one in finding.choices if one not in OF_VALUES]
    words = (
        f"The runtime makes the schema in target mode `{mode}`, so that {', '.join(lost)} cannot be chosen: correct the "
        'source, or use `"target_mode": "create"`.'
    )
    remedy = f"{finding.remedy} {words}".strip() if lost else finding.remedy
    return finding.model_copy(update={"choices": kept, "remedy": remedy})


def decide(findings: Iterable[Finding], remedies: Mapping[str, str]) -> list[Finding]:
    """Return the findings with `chosen` set where the request chose a remedy that the finding knows."""
    return [_decided(finding, remedies) for finding in findings]


def collations(remedies: Mapping[str, str]) -> list[str]:
    """Return the collations that the remedies of a request give to columns."""
    return [choice.removeprefix(COLLATION) for choice in remedies.values() if choice.startswith(COLLATION)]


def parted(remedies: Mapping[str, str], codes: Collection[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Part the remedies of a request into those of findings with these codes, and all others."""
    ours = {key: choice for key, choice in remedies.items() if key.partition(":")[0] in codes}
    return ours, {key: choice for key, choice in remedies.items() if key not in ours}


def unused(findings: Iterable[Finding], remedies: Mapping[str, str]) -> list[Finding]:
    """Return a warning for each remedy of the request that belongs to no finding: most likely a typing mistake."""
    keys = {key for finding in findings for key in (finding.code, f"{finding.code}:{finding.object}")}
    return [
        Finding(
            code="REMEDY_UNUSED",
            severity="warning",
            object=key,
            message=f"the request chose `{choice}` for it, but nothing of that code and name was found.",
            remedy="Take it out of options.remedies, or correct its spelling.",
        )
        for key, choice in remedies.items()
        if key not in keys
    ]


def _decided(finding: Finding, remedies: Mapping[str, str]) -> Finding:
    wanted = remedies.get(f"{finding.code}:{finding.object}", remedies.get(finding.code))
    if wanted is None or finding.chosen is not None:
        return finding
    if _is_offered(wanted, finding.choices):
        return finding.model_copy(update={"chosen": wanted})
    offered = ", ".join(f"`{choice}`" for choice in finding.choices) or "none"
    return finding.model_copy(
        update={"message": f"{finding.message} The request chose `{wanted}`, but the remedies are: {offered}."}
    )


def _is_offered(wanted: str, choices: list[str]) -> bool:
    if wanted.startswith(COLLATION):
        return any(choice.startswith(COLLATION) for choice in choices)
    return wanted in choices
