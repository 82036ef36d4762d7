"""What a SQL Server collation holds equal, said in PostgreSQL.

It is an approximation on the careful side: the only exact test is to build the index. Sources:
https://learn.microsoft.com/sql/relational-databases/collations/collation-and-unicode-support (case, accent, width and
kana sensitivity; expansions), https://learn.microsoft.com/sql/t-sql/language-elements/string-comparison-assignment
(trailing blanks are ignored under every collation, binary ones too).
"""

from dataclasses import dataclass

from shared.inspection.weights import version_of, weightless

MENDIX_DEFAULT = "SQL_Latin1_General_CP1_CI_AS"
"""What Mendix recommends: https://docs.mendix.com/developerportal/deploy/setting-up-a-new-sql-server-database/"""

# Letters that Windows collations expand, equal to their expansion whatever the collation tells apart.
EXPANSIONS = (
    *(("ß", "ss"), ("æ", "ae"), ("œ", "oe"), ("þ", "th"), ("ĳ", "ij"), ("ﬁ", "fi"), ("ﬂ", "fl")),
    *(("ẞ", "SS"), ("Æ", "AE"), ("Œ", "OE"), ("Þ", "TH"), ("Ĳ", "IJ")),
)
LOWER_CASE = 7
"""How many of them are lower-case: the first ones."""
HIRAGANA = "".join(chr(code) for code in range(0x3041, 0x3097))
KATAKANA = "".join(chr(code) for code in range(0x30A1, 0x30F7))
# Letters that case-insensitive collations hold equal though lower() does not: final sigma, long s, small kana.
SMALL = "ςſぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ"
LARGE = "σsあいうえおつやゆよわアイウエオツヤユヨワ"
# What accent-insensitive ones ignore: combining marks (also those that voice kana), and strokes, which are no marks.
COMBINING_MARKS = "[\u0300-\u036f\u3099\u309a]"
STROKES = "øØłŁđĐħĦŧŦ"
PLAIN = "oOlLdDhHtT"


@dataclass(frozen=True)
class Collation:
    """A collation, by what it tells apart."""

    name: str
    case: bool
    accents: bool
    width: bool
    kana: bool
    binary: bool

    @classmethod
    def of(cls, name: str) -> "Collation":
        """Read a collation's name: `Latin1_General_100_CI_AS_KS_WS`, `Latin1_General_100_BIN2`."""
        words = set(name.upper().split("_"))
        binary = bool(words & {"BIN", "BIN2"})
        return cls(
            name=name,
            case=binary or "CS" in words,
            accents=binary or "AI" not in words,
            width=binary or "WS" in words,
            kana=binary or "KS" in words,
            binary=binary,
        )

    def fold(self, expression: str, lower: str) -> str:
        """Return the PostgreSQL expression that is equal where this collation holds two strings equal.

        `lower` is the PostgreSQL collation under which lower() knows all of Unicode.
        """
        folded = expression
        if not self.binary:
            folded = f"regexp_replace({folded}, '{weightless(version_of(self.name))}', '', 'g')"
            folded = f"normalize({folded}, {'NFC' if self.width else 'NFKC'})"
            if not self.accents:
                folded = f"regexp_replace(normalize({folded}, NFKD), '{COMBINING_MARKS}', '', 'g')"
                folded = f"translate({folded}, '{STROKES}', '{PLAIN}')"
            if not self.case:
                folded = f"""translate(lower({folded} COLLATE "{lower}"), '{SMALL}', '{LARGE}')"""
            for letter, expansion in EXPANSIONS if self.case else EXPANSIONS[:LOWER_CASE]:
                folded = f"replace({folded}, '{letter}', '{expansion}')"
            if not self.kana:
                folded = f"translate({folded}, '{HIRAGANA}', '{KATAKANA}')"
        return f"rtrim({folded}, ' ')"
