"""Which characters a version of SQL Server's collations gives no sort weight, and so ignores in every comparison.

"Undefined characters are ignored during string comparison", so that two keys may differ in them only and be equal:
https://learn.microsoft.com/archive/blogs/sqlprogrammability/sorting-undefined-characters-in-unicode-andor-windows-collation.
A collation's name says its version (`_90`, `_100`, `_140`, `_160`); one without a number, and every `SQL_` one, is of
version 80, which knows Unicode 2.1 at most and no character outside the basic plane: N'Șc' = N'C', N'🚀' = N''. Version
100 came with Unicode 5.0 (https://learn.microsoft.com/previous-versions/sql/sql-server-2008-r2/ms143503(v=sql.105)).
The tables themselves are not public, so the ranges err on the careful side. They are Unicode's property Age; of
version 80's characters only letters, digits, marks and punctuation of scripts that Windows 2000 could sort.
"""

import re

OLDEST = 80

WEIGHTED_80 = (
    "0009-000D 0020-007E 00A0-00AC 00AE-01F5 01FA-0217 0250-02A8 02B0-02DE 02E0-02E9 0300-0345 0360-0361 0374-0375 "
    "037A 037E 0384-03CE 03D0-03D6 03DA 03DC 03DE 03E0 03E2-03F3 0401-040C 040E-044F 0451-045C 045E-0486 0490-04C4 "
    "04C7-04C8 04CB-04CC 04D0-04EB 04EE-04F5 04F8-04F9 0531-055F 0561-0587 0589 0591-05A1 05A3-05B9 05BB-05C4 "
    "05D0-05EA 05F0-05F4 060C 061B 061F 0621-063A 0641-0652 0660-066D 0670-06B7 06BA-06BE 06C0-06CE 06D0-06DC "
    "06DE-06ED 06F0-06F9 0901-0903 0905-0939 093C-094D 0950-0954 0958-0970 0B82-0BB5 0BB7-0BCD 0BD7 0BE7-0BF2 "
    "0E01-0E5B 10A0-10C5 10D0-10F6 10FB 1100-1159 115F-11A2 11A8-11F9 1E00-1E9B 1EA0-1EF9 1F00-200A 2010-2029 "
    "2030-2046 2070 2074-208E 20A0-20AC 2100-2138 2153-2182 2460-24EA 3000-3037 303F-3094 3099-309E 30A1-30FE "
    "3105-312C 3131-318E 4E00-9FA5 AC00-D7A3 F900-FA2D FB00-FB17 FB1E-FBB1 FBD3-FD3F FD50-FDC7 FDF0-FDFB FE20-FE23 "
    "FE30-FE44 FE49-FE72 FE74-FEFC FF01-FF5E FF61-FFEE "
)
"""Code points that version 80 gives a weight."""

NEWER_THAN_100 = (
    "0370-0373 0376-0377 037F 03CF 0487 0514-052F 0560 0588 058D-058F 05EF 0604-060A 0616-061A 061C-061D 0620 "
    "063B-063F 065F 076E-077F 07FD-0900 093A-093B 094E-094F 0955-0957 0971-097A 0980 09FB-09FE 0A51 0A75-0A76 0AF0 "
    "0AF9-0AFF 0B44 0B55 0B62-0B63 0B72-0B77 0BD0 0C00 0C04 0C34 0C3C-0C3D 0C58-0C5D 0C62-0C63 0C77-0C81 0C84 0CDD "
    "0D00-0D01 0D04 0D29 0D3A-0D3D 0D44 0D4E-0D56 0D58-0D5F 0D62-0D63 0D70-0D81 0DE6-0DEF 0E86 0E89 0E8C 0E8E-0E93 "
    "0E98 0EA0 0EA8-0EA9 0EAC 0EBA 0EDE-0EDF 0F6B-0F6C 0F8C-0F8F 0FCE 0FD2-0FDA 1022 1028 102B 1033-1035 103A-103F "
    "105A-109F 10C7-10CD 10FD-10FF 115A-115E 11A3-11A7 11FA-11FF 135D-135E 13F5-1400 1677-167F 16F1-16F8 170D "
    "1715-171F 180F 1878 18AA-18F5 191D-191E 19AA-19AB 19DA 1A20-1ACE 1B4C 1B7D-1CFA 1DCB-1DFD 1E9C-1E9F 1EFA-1EFF "
    "2064-2069 2095-209C 20B6-20C0 20F0 214F-2152 2185-218B 23E8-23FF 269D-269F 26B3-2700 2705 270A-270B 2728 274C "
    "274E 2753-2755 2757 275F-2760 2795-2797 27B0 27BF 27CB-27CF 27EC-27EF 2B1B-2B1F 2B24-2BFF 2C2F 2C5F 2C6D-2C73 "
    "2C78-2C7F 2CEB-2CF3 2D27-2D2D 2D66-2D67 2D70-2D7F 2DE0-2DFF 2E18-2E1B 2E1E-2E5D 312D-312F 31B8-31BF 31D0-31E3 "
    "3244-324F 32FF 4DB6-4DBF 9FBC-9FFF A4D0-A6F7 A71B-A71F A722-A7FF A82C-A839 A880-ABF9 D7B0-D7FB FA2E-FA2F "
    "FA6B-FA6D FBB2-FBC2 FD40-FD4F FDCF FDFE-FDFF FE24-FE2F "
)
"""Code points of the basic plane that Unicode has since 5.1."""

IGNORED = "0001-0008 000E-001F 007F-009F 00AD 0640 200B-200F 202A-202E 2060-2064 206A-206F FE00-FE0F FEFF FFF9-FFFB"
"""Controls, joiners, marks of direction, variation selectors: ignored by every version (`_VSS` is not looked at)."""


def version_of(collation: str) -> int:
    """Return the version that a collation's name says; 80 where it says none."""
    found = re.search(r"_(90|1[0-9]0)(?=_|$)", collation)
    return int(found[1]) if found and not collation.upper().startswith("SQL_") else OLDEST


def weightless(version: int) -> str:
    """Return the PostgreSQL regular expression of one character that this version ignores.

    Version 90 is taken for version 80 that also knows the characters outside the basic plane.
    """
    if version < 100:
        beyond = "" if version == OLDEST else r"\U00010000-\U0010FFFF"
        return f"[^{_ranges(WEIGHTED_80)}{beyond}]"
    return f"[{_ranges(IGNORED)}{_ranges(NEWER_THAN_100) if version == 100 else ''}]"


def _ranges(listed: str) -> str:
    """Return `0041-005A 00E9` as PostgreSQL writes it in brackets."""
    return re.sub(r"([0-9A-F]{4})", r"\\u\1", listed).replace(" ", "")
