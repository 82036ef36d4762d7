"""The System module, as every Mendix app has it, and Administration: users, sessions, files, tasks.

The GUIDs given here are constant across apps; the others are made from the seed.
"""

from local.sample import words
from local.sample.files import (
    deleted_after_download,
    file_creation,
    file_id_name,
    file_name,
    file_size,
    file_uuid,
    has_contents,
)
from local.sample.model import (
    AUTO_NUMBER,
    BINARY,
    BOOLEAN,
    DATE_TIME,
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
    constant,
    counted,
    full_name,
    hex_text,
    moment,
    mostly,
    null,
    numbered,
    paragraphs,
    password_hash,
    picked,
    random_uuid,
    reference,
    sentence,
    truth,
    whole,
)

ARGUMENTS = '{"TicketId":"4785074604081153","Retry":true,"Note":"größer – 東京"}'

ENTITIES = (
    Entity(
        "System.User",
        (
            Attribute(
                "Name",
                string(100),
                numbered("user{:05d}@example.com", 0),
                guid="69acb4a2-be26-4cc5-902a-a8591d357510",
                unique=True,
            ),
            Attribute("Password", string(200), password_hash),
            Attribute("LastLogin", DATE_TIME, mostly(moment(), 0.1)),
            Attribute("Blocked", BOOLEAN, truth(0.02), default="false"),
            Attribute("BlockedSince", DATE_TIME, mostly(moment(), 0.98)),
            Attribute("Active", BOOLEAN, truth(0.95), default="true"),
            Attribute("FailedLogins", INTEGER, whole(0, 3), default="0"),
            Attribute("WebServiceUser", BOOLEAN, truth(0.01), default="false"),
            Attribute("IsAnonymous", BOOLEAN, constant("f"), default="false"),
        ),
        guid="282e2e60-88a5-469d-84a5-ba8d9151644f",
        specialised=True,
        dates=True,
        users=True,
        indexes=(Index(("name",)),),
    ),
    Entity(
        "Administration.Account",
        (
            Attribute("FullName", string(200), full_name()),
            Attribute("Email", string(200), numbered("account{:05d}@example.com")),
            Attribute("IsLocalUser", BOOLEAN, truth(0.9), default="true"),
        ),
        superentity="System.User",
    ),
    Entity(
        "System.UserRole",
        (
            Attribute("ModelGUID", string(36), random_uuid),
            Attribute("Name", string(100), lambda _maker: lambda row: words.ROLES[row % len(words.ROLES)]),
            Attribute("Description", string(1000), mostly(sentence(1000), 0.5)),
        ),
    ),
    Entity(
        "System.Language",
        (
            Attribute("Code", string(20), lambda _maker: lambda row: words.LANGUAGES[row % 3][0]),
            Attribute("Description", string(200), lambda _maker: lambda row: words.LANGUAGES[row % 3][1]),
        ),
    ),
    Entity(
        "System.TimeZone",
        (
            Attribute("Code", string(50), lambda _maker: lambda row: words.TIME_ZONES[row % 6][0]),
            Attribute("Description", string(100), lambda _maker: lambda row: words.TIME_ZONES[row % 6][1]),
            Attribute("RawOffset", INTEGER, lambda _maker: lambda row: str(words.TIME_ZONES[row % 6][2])),
        ),
    ),
    Entity(
        "System.Session",
        (
            Attribute("SessionId", string(50), random_uuid, unique=True),
            Attribute("CSRFToken", string(36), random_uuid),
            Attribute("LastActive", DATE_TIME, moment()),
            Attribute("LongLived", BOOLEAN, truth(0.2)),
            Attribute("ReadOnlyHashKey", string(36), random_uuid),
            Attribute("LastActionExecution", DATE_TIME, mostly(moment(6), 0.3)),
            Attribute("createdDate", DATE_TIME, moment()),
        ),
        guid="37f9fd49-5318-4c63-9a51-f761779b202f",
        indexes=(Index(("sessionid",)), Index(("-lastactive",))),
    ),
    Entity(
        "System.TokenInformation",
        (
            Attribute("Token", string(200), hex_text(64)),
            Attribute("ExpiryDate", DATE_TIME, moment()),
            Attribute("UserAgent", UNLIMITED, picked(words.USER_AGENTS)),
        ),
    ),
    Entity(
        "System.FileDocument",
        (
            Attribute("FileID", AUTO_NUMBER, counted(), guid="0f81688b-e719-4204-8f86-8fcd664a0992"),
            Attribute("Name", string(400), file_name),
            Attribute("DeleteAfterDownload", BOOLEAN, deleted_after_download, default="false"),
            Attribute("Contents", BINARY, null),
            Attribute("HasContents", BOOLEAN, has_contents, default="false"),
            Attribute("Size", LONG, file_size, guid="14018140-78df-4e36-9869-d0b53129d2c9", default="-1"),
            Attribute("__FileName__", LONG, file_id_name),
            Attribute("__UUID__", string(36), file_uuid, guid="96445370-6fed-11e4-9803-0800200c9a66"),
            Attribute("createdDate", DATE_TIME, file_creation),
            Attribute("changedDate", DATE_TIME, file_creation),
        ),
        guid="170ce49d-f29c-4fac-99a6-b55e8a3aeb39",
        specialised=True,
        users=True,
        indexes=(Index(("fileid",)), Index(("size",)), Index(("__uuid__",))),
    ),
    Entity(
        "System.Image",
        (
            Attribute("PublicThumbnailPath", string(500), null),
            Attribute("EnableCaching", BOOLEAN, constant("t"), default="true"),
        ),
        superentity="System.FileDocument",
        guid="37827192-315d-4ab6-85b8-f626f866ea76",
    ),
    Entity(
        "System.QueuedTask",
        (
            Attribute("Sequence", AUTO_NUMBER, counted(700)),
            Attribute("Status", enumeration(12), picked(("Idle", "Idle", "Running"))),
            Attribute("QueueId", string(36), random_uuid),
            Attribute("QueueName", string(200), picked(("System.ScheduledEventsQueue", "Tickets.Mail", "Orders.Sync"))),
            Attribute("ContextType", enumeration(14), picked(("System", "User", "ScheduledEvent"))),
            Attribute("ContextData", UNLIMITED, mostly(picked(("MxAdmin", "user00003@example.com")), 0.4)),
            Attribute("MicroflowName", string(200), picked(("Tickets.SUB_SendMail", "Orders.SE_Synchronise"))),
            Attribute("UserActionName", string(200), null),
            Attribute("Arguments", UNLIMITED, picked((ARGUMENTS, "{}"))),
            Attribute("XASId", string(50), mostly(random_uuid, 0.7)),
            Attribute("ThreadId", LONG, mostly(whole(1, 200), 0.7)),
            Attribute("Created", DATE_TIME, moment(6)),
            Attribute("StartAt", DATE_TIME, mostly(moment(), 0.5)),
            Attribute("Started", DATE_TIME, mostly(moment(6), 0.7)),
            Attribute("Retried", LONG, whole(0, 3)),
            Attribute("Retry", UNLIMITED, null),
            Attribute("ScheduledEventName", string(200), mostly(picked(("Orders.SE_Nightly",)), 0.6)),
        ),
        guid="c6c131c8-8779-4213-9b26-a64e141f26a8",
        users=True,
        indexes=(Index(("sequence",)), Index(("status", "-created"))),
    ),
    Entity(
        "System.ProcessedQueueTask",
        (
            Attribute("Sequence", AUTO_NUMBER, counted(1)),
            Attribute("Status", enumeration(12), picked(("Completed", "Completed", "Failed", "Incompatible"))),
            Attribute("QueueName", string(200), picked(("System.ScheduledEventsQueue", "Tickets.Mail"))),
            Attribute("MicroflowName", string(200), picked(("Tickets.SUB_SendMail", "Orders.SE_Synchronise"))),
            Attribute("Arguments", UNLIMITED, picked((ARGUMENTS, "{}"))),
            Attribute("Finished", DATE_TIME, moment(6)),
            Attribute("Duration", LONG, whole(1, 900_000)),
            Attribute("ErrorMessage", UNLIMITED, mostly(paragraphs(2), 0.9)),
        ),
        guid="eb5c32a1-85ec-49d1-8bca-ecca779cd539",
        indexes=(Index(("-finished",)),),
    ),
    Entity(
        "System.ScheduledEventInformation",
        (
            Attribute("Name", string(200), picked(("Orders.SE_Nightly", "Tickets.SE_Escalate"))),
            Attribute("Status", enumeration(9), picked(("Completed", "Error", "Stopped"))),
            Attribute("StartTime", DATE_TIME, moment()),
            Attribute("EndTime", DATE_TIME, mostly(moment(), 0.1)),
        ),
    ),
    Entity(
        "System.XASInstance",
        (
            Attribute("XASId", string(50), random_uuid, unique=True),
            Attribute("LastUpdate", DATE_TIME, moment()),
            Attribute("AllowedNumberOfConcurrentUsers", INTEGER, constant("100")),
            Attribute("PartnerName", string(200), null),
            Attribute("CustomerName", string(200), constant("Sample")),
        ),
        guid="d4154981-8dac-4150-aec5-efa3ef62a7a2",
    ),
    Entity(
        "System.UnreferencedFile",
        (
            Attribute("FileKey", string(36), random_uuid),
            Attribute("State", enumeration(10), constant("Deleted")),
            Attribute("TransactionId", string(36), random_uuid),
        ),
    ),
    Entity(
        "System.TaskQueueToken",
        (
            Attribute("QueueName", string(200), constant("Tickets.Mail")),
            Attribute("XASId", string(50), random_uuid),
            Attribute("ValidUntil", DATE_TIME, moment()),
        ),
    ),
    Entity("System.BackgroundJob", (Attribute("JobId", string(36), random_uuid),)),
    Entity(
        "System.OfflineSynchronizationHistory",
        (
            Attribute("SyncId", string(36), random_uuid),
            Attribute("LastUpdate", DATE_TIME, moment()),
            Attribute("OwnerId", LONG, reference("System.User")),
        ),
    ),
)

ASSOCIATIONS = (
    Association("System.UserRoles", "System.User", "System.UserRole", unique_parent=False),
    Association("System.grantableRoles", "System.UserRole", "System.UserRole", unique_parent=False),
    Association("System.User_Language", "System.User", "System.Language", share=0.9),
    Association("System.User_TimeZone", "System.User", "System.TimeZone", share=0.8),
    Association("System.Session_User", "System.Session", "System.User"),
    Association("System.TokenInformation_User", "System.TokenInformation", "System.User"),
    Association(
        "System.ScheduledEventInformation_XASInstance",
        "System.ScheduledEventInformation",
        "System.XASInstance",
        share=0.7,
    ),
)
