"""Collations: which names the stand-in takes for one, and which of them may meet."""

import re

from local.sqlserver.casts import Sql
from local.sqlserver.errors import SqlError

_LOCALE_NAMES = (
    "Albanian Arabic Assamese Azeri_Cyrillic Azeri_Latin Bashkir Bengali Bosnian_Cyrillic Bosnian_Latin Breton "
    "Chinese_Hong_Kong_Stroke Chinese_PRC Chinese_PRC_Stroke Chinese_Simplified_Pinyin Chinese_Simplified_Stroke_Order "
    "Chinese_Taiwan_Bopomofo Chinese_Taiwan_Stroke Chinese_Traditional_Bopomofo Chinese_Traditional_Pinyin "
    "Chinese_Traditional_Stroke_Count Chinese_Traditional_Stroke_Order Corsican Croatian Cyrillic_General Czech "
    "Danish_Greenlandic Danish_Norwegian Dari Divehi Estonian Finnish_Swedish French Frisian Georgian_Modern_Sort "
    "German_PhoneBook Greek Hebrew Hungarian Hungarian_Technical Icelandic Indic_General Japanese "
    "Japanese_Bushu_Kakusu Japanese_Unicode Japanese_XJIS Kazakh Khmer Korean Korean_Wansung Lao Latin1_General Latvian "
    "Lithuanian Macedonian_FYROM Maltese Maori Mapudungan Modern_Spanish Mohawk Nepali Norwegian Pashto Persian Polish "
    "Romanian Romansh Sami_Norway Sami_Sweden_Finland Serbian_Cyrillic Serbian_Latin Slovak Slovenian Syriac Tamazight "
    "Tatar Thai Tibetan Traditional_Spanish Turkish Turkmen Uighur Ukrainian Upper_Sorbian Urdu Uzbek_Latin Vietnamese "
    "Welsh Yakut"
)
_SENSITIVITY = r"(BIN2?|(CI|CS)_(AI|AS)(_KS)?(_WS)?(_SC)?(_VSS)?)(_UTF8)?"

# Also a regular expression of PostgreSQL, case-insensitive.
PATTERN = (
    rf"^((SQL_(Latin1|Croatian|Czech|Estonian|Hungarian|Latvian|Lithuanian|Polish|Romanian|Slovak|Slovenian|Turkish|"
    rf"Ukrainian|Scandinavian|1xCompat|AltDiction|Danish|Icelandic|MixDiction|SwedishPhone|SwedishStd)(_\w+)?_CP\d+)|"
    rf"(({_LOCALE_NAMES.replace(' ', '|')})(_(90|100|140|160))?))_{_SENSITIVITY}$"
)
_KNOWN = re.compile(PATTERN, re.IGNORECASE | re.ASCII)


def check_collation(name: str) -> None:
    """Refuses what is no collation's name.

    Raises:
        SqlError: 448.
    """
    if not _KNOWN.match(name):
        raise SqlError(448, f"Invalid collation '{name}'.")


def refuse_conflict(left: Sql, right: Sql, operation: str) -> None:
    """Two columns of different collations meet only where COLLATE says how.

    Raises:
        SqlError: 468.
    """
    one, other = left.kind.collation, right.kind.collation
    if one and other and one.lower() != other.lower() and not (left.explicit or right.explicit):
        raise SqlError(
            468, f'Cannot resolve the collation conflict between "{one}" and "{other}" in the {operation} operation.'
        )
