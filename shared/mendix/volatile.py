"""Tables that start empty on the target, and why.

Their rows belong to running processes of the source environment (sessions, nodes, locks); the runtime fills them
again. They are named by entity, because only the metadata knows the names of tables.
"""

from shared.mendix.metadata import Association, Entity, Metadata, physical
from shared.request import Purpose

SESSIONS = "sessions of the source environment; everybody logs in again"
NODES = "belongs to the runtime nodes of the source environment"

ALWAYS = {
    "System.Session": SESSIONS,
    "System.TokenInformation": "remember-me tokens of the source environment; everybody logs in again",
    "System.XASInstance": NODES,
    "System.TaskQueueToken": NODES,
    "System.AutoCommitEntry": "objects of sessions that ended; the runtime would delete them",
    "System.ChangeHash": "state of client sessions that ended",
    "System.BackgroundJob": "state of client sessions that ended",
    "System.ScheduledEventInformation": "history of the source environment's scheduled events",
    "System.ProcessedQueueTask": "history of finished queued tasks",
    "System.UnreferencedFile": "files that wait for deletion in the source environment's storage",
    "System.OfflineCreatedGuids": "state of offline clients, which synchronise anew",
    "System.OfflineSynchronizationHistory": "state of offline clients, which synchronise anew",
}
# Idle rows are work that is still to be done (https://docs.mendix.com/refguide/task-queue/): a cut-over must keep them,
# and a rehearsal must not do that work a second time.
REHEARSAL = {"System.QueuedTask": "queued work of the production environment, which a rehearsal must not do"}

DROPPED_PROPERTIES = {"Mendix.Runtime.DeploymentID": "names the source's deployment; the runtime writes its own"}
KEPT_PROPERTIES = ("MxAdminUserName", "oldFileMigrationCompleted", "leftoverUnreferencedFileCleanupComplete")


def volatile_entities(metadata: Metadata, purpose: Purpose) -> dict[str, str]:
    """Return the entities (by GUID) whose tables start empty, with the reason; specialisations included."""
    reasons = ALWAYS | (REHEARSAL if purpose == "rehearsal" else {})
    found: dict[str, str] = {}
    for entity in metadata.entities:
        if entity.name in reasons:
            for guid in metadata.children_of({entity.id}):
                found[guid] = reasons[entity.name]
    return found


def volatile_tables(metadata: Metadata, purpose: Purpose) -> dict[str, str]:
    """Return the tables that start empty, with the reason: volatile entities and every link table to one of them."""
    entities = volatile_entities(metadata, purpose)
    found = {physical(entity.table): entities[entity.id] for entity in metadata.entities if entity.id in entities}
    for one in metadata.associations:
        volatile = refers_to(metadata, one, entities)
        if volatile is not None and one.own_table:
            found[physical(one.table)] = f"links to {volatile.name}, which starts empty"
    return found


def refers_to(metadata: Metadata, one: Association, entities: dict[str, str]) -> Entity | None:
    """Return the volatile entity on either side of an association, or None."""
    for guid in (one.parent_entity_id, one.child_entity_id):
        if guid in entities:
            return metadata.entity_by_id[guid]
    return None
