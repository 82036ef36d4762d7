"""Writes docs/settings.md from the settings models: `python -m local.settings_page`."""

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from shared.settingnames import HOST_SETTINGS
from shared.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
HEAD = """# Settings

Made from `shared/settings.py` by `make docs`; do not edit.

The app reads its settings from the environment. In Azure they are app settings, and Key Vault references where they are
secret; `infra/` writes them (`main.bicep`, and `profiles.bicep` those of profiles). On one machine `local/` writes them, or
`local.settings.json` (see `local.settings.example.json`). Levels are parted by two underscores. `<NAME>` is the name of a
profile in upper case, as requests say it in lower case (a hyphen becomes an underscore): `"target": "production"` reads
`TARGET__PRODUCTION__…`. There may be any number of profiles.

At start, a missing setting, a wrong value and an unknown name inside a section are refused, and so is an unknown name
that is nearly one of these (`TARGTE__PRODUCTION__KIND`). The refusal names each of them: `SETTINGS_INVALID`.

*Default*: `required` means required where the section is used at all. *Where*: `Azure` is written by `infra/`; `local`
makes sense on one machine only; `the platform` sets what Azure itself sets.
"""


@dataclass(frozen=True)
class Setting:
    """One setting: its name in the environment, and what the page says of it."""

    name: str
    kind: str
    default: str
    where: str
    text: str
    secret: bool


def all_settings() -> list[Setting]:
    """Every setting that the code reads, with `<NAME>` in the place of profile names."""
    return list(_of(Settings, ""))


def page() -> str:
    """The page as Markdown."""
    parts = [HEAD]
    found = all_settings()
    for section in sorted({_section(one) for one in found}):
        parts.append(
            f"\n## {section or 'General'}\n\n| Name | Value | Default | Where | Meaning |\n| --- | --- | --- | --- | --- |\n"
        )
        parts.extend(
            f"| `{one.name}` | {one.kind} | {one.default} | {one.where} | {one.text} |\n"
            for one in found
            if _section(one) == section
        )
    parts.append(
        "\n## Of the Functions host\n\nWritten by `infra/` beside the above, read by the Functions host and its Python "
        "worker, never by the app's code.\n\n| Name | Meaning |\n| --- | --- |\n"
    )
    parts.extend(f"| `{name}` | {text} |\n" for name, text in HOST_SETTINGS.items())
    return "".join(parts)


def _section(setting: Setting) -> str:
    return setting.name.partition("__")[0] if "__" in setting.name else ""


def _of(model: type[BaseModel], prefix: str) -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        full = f"{prefix}{name.upper()}"
        inner, profiles = _model_of(field.annotation)
        if inner is not None:
            yield from _of(inner, f"{full}__<NAME>__" if profiles else f"{full}__")
        else:
            yield _setting(full, field)


def _setting(name: str, field: FieldInfo) -> Setting:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    secret = SecretStr in (field.annotation, *typing.get_args(field.annotation))
    default = (
        "required" if field.is_required() else ("–" if field.default in (None, "") else f"`{_shown(field.default)}`")
    )
    where = str(extra.get("where", "Azure"))
    return Setting(name, _kind(field, secret), default, where, (field.description or "").replace("|", "\\|"), secret)


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _kind(field: FieldInfo, secret: bool) -> str:
    if secret:
        return "secret"
    options = [one for one in typing.get_args(field.annotation) if one is not types.NoneType]
    if typing.get_origin(field.annotation) is typing.Literal:
        return " \\| ".join(f"`{one}`" for one in options)
    kind = options[0] if options else field.annotation
    names = {str: "text", int: "number", float: "number", bool: "`true` \\| `false`"}
    return names[typing.cast("type", kind)] + _span(field)


def _span(field: FieldInfo) -> str:
    limits = {sign: getattr(one, sign) for one in field.metadata for sign in ("ge", "gt", "le") if hasattr(one, sign)}
    signs = {"ge": "≥", "gt": ">", "le": "≤"}
    return "".join(f" {signs[sign]} {limit:,}" for sign, limit in limits.items())


def _model_of(annotation: object) -> tuple[type[BaseModel] | None, bool]:
    """The settings model inside an annotation, and whether it is one of several profiles."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    if typing.get_origin(annotation) is dict:
        inner, _ = _model_of(typing.get_args(annotation)[1])
        return inner, True
    for option in typing.get_args(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option, False
    return None, False


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
    print(f"{PAGE.relative_to(Path.cwd())}: {len(all_settings())} settings")
