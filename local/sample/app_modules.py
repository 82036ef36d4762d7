"""The app's own modules: Customers, Orders, Tickets, Documents."""

from local.sample import words
from local.sample.model import (
    AUTO_NUMBER,
    BINARY,
    BOOLEAN,
    DATE_TIME,
    DECIMAL,
    FLOAT,
    INTEGER,
    LONG,
    UNLIMITED,
    Association,
    Attribute,
    Entity,
    Index,
    enumeration,
    string,
)
from local.sample.values import (
    at_limit,
    awkward,
    blob,
    company_name,
    counted,
    day,
    decimal,
    full_name,
    hex_text,
    large_text,
    moment,
    mostly,
    numbered,
    paragraphs,
    password_hash,
    picked,
    random_uuid,
    rarely,
    real,
    sentence,
    truth,
    whole,
)

LONG_NAME = "Customers.HistoricalCommunicationPreferenceRegistrationOfContactPersonAtCompany"
EXTREME_DECIMALS = ("12345678901234567890.12345678", "-99999999999999999999.99999999", "0.00000001", "0.50000000")
EXTREME_REALS = ("1.7976931348623157e+308", "2.2250738585072014e-308", "0.1", "-1234567.890123456", "0")
EXTREME_LONGS = ("9223372036854775807", "-9223372036854775808", "0", "-1")
EXTREME_INTEGERS = ("2147483647", "-2147483648", "0")
EXTREME_DATES = ("0001-01-01 00:00:00", "9999-12-31 23:59:59.999", "1969-12-31 23:59:59.999", "1900-02-28 12:00:00")

CUSTOMERS = (
    Entity(
        "Customers.Party",
        (
            Attribute("CustomerNumber", string(12), numbered("C{:08d}"), unique=True),
            Attribute("DisplayName", string(200), rarely(sentence(200), at_limit(200), 400)),
            Attribute("Phone", string(30), mostly(picked(("+31 10 123 45 67", "0049 89/123456", "112")), 0.3)),
            Attribute("CreditLimit", DECIMAL, rarely(decimal(50_000), picked(EXTREME_DECIMALS), 211), default="0"),
            Attribute("Rating", FLOAT, rarely(real(10), picked(EXTREME_REALS), 307), default="0"),
            Attribute("Blocked", BOOLEAN, mostly(truth(0.04), 0.02), default="false"),
            Attribute("Since", DATE_TIME, rarely(day(), picked(EXTREME_DATES), 150)),
            Attribute("Remarks", UNLIMITED, mostly(rarely(paragraphs(2), awkward(), 20), 0.4)),
        ),
        specialised=True,
        dates=True,
        users=True,
        indexes=(Index(("customernumber",)), Index(("displayname", "-since"))),
    ),
    Entity(
        "Customers.Company",
        (
            Attribute("CompanyName", string(150), company_name()),
            Attribute("ChamberOfCommerce", string(20), hex_text(8)),
            Attribute("Employees", INTEGER, rarely(whole(1, 90_000), picked(EXTREME_INTEGERS), 97)),
            Attribute("Logo", BINARY, mostly(blob(200, 3_000), 0.9)),
        ),
        superentity="Customers.Party",
    ),
    Entity(
        "Customers.Person",
        (
            Attribute("FullName", string(150), full_name()),
            Attribute("DateOfBirth", DATE_TIME, mostly(day(), 0.1)),
            Attribute("Gender", enumeration(11), picked(("Female", "Male", "Unspecified"))),
            Attribute("PortalPassword", string(200), mostly(password_hash, 0.8)),
        ),
        superentity="Customers.Party",
    ),
    Entity(
        "Customers.Address",
        (
            Attribute("Street", string(200), picked(words.STREETS)),
            Attribute("HouseNumber", INTEGER, whole(1, 400)),
            Attribute("PostalCode", string(10), picked(("1011 AB", "80331", "00-950", "75001", "K1A 0B1"))),
            Attribute("City", string(100), picked(words.CITIES)),
            Attribute("Country", enumeration(11), picked(words.COUNTRIES)),
            Attribute("Latitude", FLOAT, real(180)),
            Attribute("Longitude", FLOAT, real(360)),
        ),
        dates=True,
        indexes=(Index(("country", "city")),),
    ),
    Entity(
        LONG_NAME,
        (
            Attribute("Channel", enumeration(5), picked(("Email", "Phone", "Post", "None"))),
            Attribute("ValidFrom", DATE_TIME, moment(6)),
            Attribute("Consent", BOOLEAN, truth(0.7)),
        ),
    ),
)

ORDERS = (
    Entity(
        "Orders.Product",
        (
            Attribute("SKU", string(20), numbered("SKU-{:06d}"), unique=True),
            Attribute("Name", string(200), picked([f"{m} {p}" for m in words.MATERIALS for p in words.PRODUCTS])),
            Attribute("Description", UNLIMITED, paragraphs(3)),
            Attribute("Price", DECIMAL, decimal(2_500, 4)),
            Attribute("Weight", FLOAT, real(80)),
            Attribute("Stock", LONG, rarely(whole(0, 10_000_000_000), picked(EXTREME_LONGS), 61)),
            Attribute("Thumbnail", BINARY, mostly(blob(0, 8_000), 0.5)),
            Attribute("Discontinued", BOOLEAN, truth(0.1), default="false"),
        ),
        dates=True,
        indexes=(Index(("sku",)), Index(("-price",))),
    ),
    Entity("Orders.Category", (Attribute("Name", string(100), numbered("Category {:03d}"), unique=True),)),
    Entity(
        "Orders.Order",
        (
            Attribute("OrderNumber", AUTO_NUMBER, counted(100_001), default="100001"),
            Attribute("Status", enumeration(9), picked(("Draft", "Confirmed", "Shipped", "Delivered", "Cancelled"))),
            Attribute("OrderDate", DATE_TIME, moment()),
            Attribute("Total", DECIMAL, decimal(9_000), default="0"),
            Attribute("Currency", enumeration(3), picked(("EUR", "PLN", "DKK", "CHF"))),
            Attribute("Reference", string(60), mostly(rarely(sentence(60), at_limit(60), 500), 0.5)),
            Attribute("ShipBefore", DATE_TIME, mostly(day(), 0.4)),
            Attribute("ExternalId", string(36), random_uuid),
        ),
        dates=True,
        users=True,
        indexes=(Index(("ordernumber",)), Index(("status", "-orderdate")), Index(("externalid",))),
    ),
    Entity(
        "Orders.OrderLine",
        (
            Attribute("LineNumber", INTEGER, whole(1, 30)),
            Attribute("Quantity", INTEGER, whole(1, 500), default="1"),
            Attribute("UnitPrice", DECIMAL, decimal(2_500, 8)),
            Attribute("Discount", DECIMAL, mostly(decimal(15, 3), 0.7)),
            Attribute("Text", string(400), sentence(400, 4, 25)),
            Attribute("Delivered", BOOLEAN, mostly(truth(), 0.1)),
        ),
        dates=True,
    ),
    Entity(
        "Orders.Payment",
        (
            Attribute("Amount", DECIMAL, decimal(9_000)),
            Attribute("PaidAt", DATE_TIME, moment()),
            Attribute("Method", enumeration(8), picked(("iDEAL", "Card", "Transfer", "SEPA"))),
            Attribute("Transaction", string(64), hex_text(64)),
        ),
    ),
)

TICKETS = (
    Entity(
        "Tickets.Ticket",
        (
            Attribute("Number", AUTO_NUMBER, counted(1), default="1"),
            Attribute("Subject", string(200), rarely(sentence(200), at_limit(200), 350)),
            Attribute("Body", UNLIMITED, rarely(paragraphs(5), large_text(30_000), 900)),
            Attribute("Priority", enumeration(6), picked(("Low", "Normal", "High"))),
            Attribute("State", enumeration(11), picked(("Open", "Pending", "Closed", "Reopened"))),
            Attribute("DueDate", DATE_TIME, mostly(moment(), 0.3)),
            Attribute("Satisfaction", FLOAT, mostly(real(10), 0.6)),
        ),
        dates=True,
        users=True,
        indexes=(Index(("number",)), Index(("state", "priority", "-duedate"))),
    ),
    Entity(
        "Tickets.Comment",
        (
            Attribute("Text", UNLIMITED, rarely(paragraphs(3), awkward(), 50)),
            Attribute("Internal", BOOLEAN, truth(0.3)),
            Attribute("Summary", string(5000), mostly(sentence(5000, 10, 60), 0.8)),
        ),
        dates=True,
        users=True,
    ),
    Entity("Tickets.Tag", (Attribute("Name", string(50), numbered("tag-{:03d}"), unique=True),)),
    Entity(
        "Tickets.Attachment",
        (
            Attribute("Contents", BINARY, blob(20_000, 400_000)),
            Attribute("Mail", UNLIMITED, large_text()),
        ),
    ),
    Entity(
        "Tickets.WorkLog",
        (
            Attribute("Minutes", INTEGER, whole(1, 480)),
            Attribute("Activity", string(100), sentence(100, 2, 8)),
            Attribute("LoggedAt", DATE_TIME, moment(6)),
            Attribute("Cost", DECIMAL, decimal(400)),
            Attribute("Checksum", LONG, whole(-(2**62), 2**62)),
        ),
        indexes=(Index(("-loggedat",)),),
    ),
)

DOCUMENTS = (
    Entity(
        "Documents.Document",
        (
            Attribute("Title", string(200), sentence(200)),
            Attribute("Confidential", BOOLEAN, truth(0.2)),
            Attribute("ValidUntil", DATE_TIME, mostly(day(), 0.5)),
        ),
        superentity="System.FileDocument",
    ),
    Entity(
        "Documents.Scan",
        (Attribute("Pages", INTEGER, whole(1, 90)), Attribute("OcrText", UNLIMITED, mostly(paragraphs(6), 0.2))),
        superentity="System.Image",
    ),
    Entity(
        "Documents.Folder",
        (Attribute("Name", string(100), sentence(100, 1, 3)),),
        users=True,
    ),
)

ENTITIES = (*CUSTOMERS, *ORDERS, *TICKETS, *DOCUMENTS)

ASSOCIATIONS = (
    Association("Customers.Address_Party", "Customers.Address", "Customers.Party"),
    Association("Customers.Person_Company", "Customers.Person", "Customers.Company", storage_format=1, fill=0.7),
    Association("Customers.Party_Manager", "Customers.Party", "Administration.Account", storage_format=1, fill=0.5),
    Association("Orders.Category_Parent", "Orders.Category", "Orders.Category", share=0.8),
    Association("Orders.Product_Category", "Orders.Product", "Orders.Category", unique_parent=False, share=1.8),
    Association("Orders.Order_Customer", "Orders.Order", "Customers.Party", storage_format=1, foreign_keys=True),
    Association("Orders.OrderLine_Order", "Orders.OrderLine", "Orders.Order", storage_format=1, foreign_keys=True),
    Association("Orders.OrderLine_Product", "Orders.OrderLine", "Orders.Product", foreign_keys=True),
    Association("Orders.Payment_Order", "Orders.Payment", "Orders.Order", unique_child=True),
    Association("Tickets.Ticket_Party", "Tickets.Ticket", "Customers.Party", storage_format=1, fill=0.95),
    Association("Tickets.Ticket_AssignedTo", "Tickets.Ticket", "Administration.Account", storage_format=1, fill=0.6),
    Association("Tickets.Comment_Ticket", "Tickets.Comment", "Tickets.Ticket", storage_format=1),
    Association("Tickets.Ticket_Tag", "Tickets.Ticket", "Tickets.Tag", unique_parent=False, share=1.5),
    Association("Tickets.Attachment_Ticket", "Tickets.Attachment", "Tickets.Ticket"),
    Association("Documents.Folder_Parent", "Documents.Folder", "Documents.Folder", storage_format=1, fill=0.8),
    Association("Documents.Document_Folder", "Documents.Document", "Documents.Folder", share=0.9),
    Association("Documents.Document_Order", "Documents.Document", "Orders.Order", storage_format=1, fill=0.4),
)
