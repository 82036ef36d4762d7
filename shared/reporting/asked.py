"""What a run was asked for, in words: the choices that decide what its report means."""

from shared.request import MigrationRequest, Options

MODES = {
    "create": "into a schema that the run makes",
    "existing": "into the schema that the Mendix runtime has made",
    "postgres": "restored into PostgreSQL",
    "runtime": "copied by the Mendix runtime itself",
}
CLEAN_UP = {
    "always": "staging and the temporary database, always",
    "on-success": "staging and the temporary database, if the run ends verified or planned",
    "keep": "nothing at the end of the run",
}


def asked(request: MigrationRequest) -> dict[str, str]:
    """Return the choices of a request by what they are about; those that were not made are left out."""
    options = request.options
    dry = "; dry run: it is not written" if options.dry_run else ""
    not_empty = "it is dropped, as was confirmed" if request.target_not_empty == "drop" else "the run is refused"
    return {
        "Target database": MODES[options.target_mode or "create"] + dry,
        "Levels of verification": ", ".join(options.verify) or "none",
        "If the target holds something": not_empty,
        "Rows that the target may refuse": f"up to {options.max_rejects:,}" if options.max_rejects else "none",
        "Masked columns": ", ".join(f"{one.table}.{one.column} ({one.how})" for one in options.masks) or "none",
    } | {name: words for name, words in _further(request, options).items() if words}


def _further(request: MigrationRequest, options: Options) -> dict[str, str]:
    remedies = ", ".join(f"{about}: {choice}" for about, choice in options.remedies.items())
    return {
        "Remedies": remedies,
        "Tables not compared": ", ".join(options.not_compared),
        "Collation of string columns": options.collation or "",
        "Prefix of blobs": options.blob_prefix,
        "Expected model version": request.expected_model_version or "",
        "Values in findings": "shown" if options.show_values else "",
        "Deleted at the end": CLEAN_UP[options.cleanup],
    }
