"""Word lists the sample's texts are made of; in several scripts, because a migration must carry them all."""

# ruff: noqa: SIM905 - a list of words reads better as words than as quoted literals

FIRST_NAMES = (
    "Ada Bram Çağla Dirk Eleonora Fatima Grégoire Hélène Ígor Jürgen Katarzyna Łukasz Małgorzata Noël Øystein Petra "
    "Quirine Renée Søren Théo Ursula Věra Willemijn Xavier Yıldız Zoë Åsa Björn Chloé Dóra Emre François"
).split()
LAST_NAMES = (
    "Jansen|de Vries|van den Berg|Müller|Schröder|Groß|Lefèvre|Nuñez|Østergård|Kowalski|Wiśniewska|Novák|Horváth|"
    "O'Brien|MacDonald|Dell'Acqua|Yılmaz|Papadopoulos|Ångström|Dvořák|D’Angelo|Peña-Fernández|St. John|Szczepański"
).split("|")
COMPANIES = (
    "Noordzee Logistiek|Bäckerei Grün|Crédit Rhône|Ateliers d'Été|Polar Énergie|Złota Kawa|Fjord & Sønner|Mühlbach|"
    "Delta Pumps|Kaiser + Söhne|Olive & Thyme|Hřiště Praha|Quadrant|Sirius Medical|Tulip Foods|Viking Shipping"
).split("|")
LEGAL_FORMS = ("B.V.", "GmbH", "S.A.", "AG", "Sp. z o.o.", "A/S", "Ltd", "s.r.o.")
STREETS = (
    "Kerkstraat Hauptstraße Rue-de-l'Église Wilhelminakade Königsallee Długa Østergade Náměstí Plaza-España Dam"
).split()
CITIES = (
    "Rotterdam|Zürich|München|Łódź|København|Århus|Besançon|Málaga|Brno|Győr|'s-Hertogenbosch|Ålesund|Θεσσαλονίκη|東京"
).split("|")
COUNTRIES = ("Netherlands", "Germany", "France", "Poland", "Denmark", "Switzerland", "Czechia", "Spain", "Greece")
PRODUCTS = (
    "Bearing Valve Gasket Rotor Flange Sensor Coupling Actuator Filter Gearbox Impeller Manifold Regulator Seal"
).split()
MATERIALS = "Steel Brass Bronze Titanium Nylon Ceramic Copper Aluminium".split()
TEXT = (
    "the|order|was|delivered|late|and|customer|asks|for|a|refund|invoice|please|check|with|warehouse|again|before|"
    "Friday|levering|vertraagd|wegens|storing|klant|belt|terug|Überprüfung|läuft|größer|als|erwartet|Rückfrage|"
    "commande|reçue|en|état|abîmé|où|façade|żółty|kolor|błąd|zamówienia|zpráva|příloha|chybí|αποστολή|ολοκληρώθηκε|"
    "доставка|задерживается|注文|確認|发票|已付款|배송|완료|تأكيد|הזמנה|naïve|café|€ 12,50|½|№ 7|50 %|A→B|"
    "🙂|🚚|📦|👩‍🔧|🇳🇱|e\u0301|ﬁn|\u00a0|\u200b"
).split("|")
AWKWARD = (
    "",
    " ",
    "trailing blank ",
    " leading blank",
    "NULL",
    "\\N",
    "\\.",
    "tab\there",
    "line\nfeed",
    "carriage\r\nreturn",
    "quote \" and ' both",
    "back\\slash",
    "percent %s {0} $1",
    "<script>alert('x')</script>",
    "'; DROP TABLE orders; --",
    "x\u0001y",
    "\ufeffmark",
    "ǅ ß ſ İ ı",
    "right-to-left \u202eabc\u202c",
    "👨‍👩‍👧‍👦",
)
USER_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_7) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15",
)
LANGUAGES = (("en_US", "English, United States"), ("nl_NL", "Dutch, Netherlands"), ("de_DE", "German, Germany"))
TIME_ZONES = (
    ("UTC", "(GMT) UTC", 0),
    ("Europe/Amsterdam", "(GMT+01:00) Amsterdam", 60),
    ("Europe/Athens", "(GMT+02:00) Athens", 120),
    ("Asia/Tokyo", "(GMT+09:00) Tokyo", 540),
    ("America/New_York", "(GMT-05:00) New York", -300),
    ("Asia/Kathmandu", "(GMT+05:45) Kathmandu", 345),
)
ROLES = ("Administrator", "Sales", "Support", "Customer", "Anonymous")
