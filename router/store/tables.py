"""The tables. Instants are microseconds since 1970, so that both databases order and compare them alike."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

SCHEMA_VERSION = 1

metadata = MetaData()

schema = Table("router_schema", metadata, Column("version", Integer, nullable=False))

# One row a request body. The body stands in a table of its own: a state is written twice, a body once.
notifications = Table(
    "notifications",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("source", String, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("state", String, nullable=False),
    Column("error", Text),
    Column("duplicate_of", BigInteger),
    Column("verdicts", Text),
    Column("map_revision", String),
    Column("decided_at", BigInteger),
    Index(
        "notifications_waiting",
        "id",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
    Index(
        "notifications_quarantined",
        "id",
        sqlite_where=text("state = 'quarantined'"),
        postgresql_where=text("state = 'quarantined'"),
    ),
    sqlite_with_rowid=True,
)

bodies = Table(
    "bodies",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)

# What each alert group was last told with effect.
tellings = Table(
    "tellings",
    metadata,
    Column("alert_group", String, primary_key=True),
    Column("content", String, nullable=False),
    Column("notification", BigInteger, nullable=False),
    Column("sender", BigInteger, nullable=False),
    Column("reason", String),
    Column("at", BigInteger, nullable=False),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", String, primary_key=True),
    Column("alert_group", String, nullable=False),
    Column("source", String, nullable=False),
    Column("owner", String),
    Column("channel", String, nullable=False),
    Column("state", String, nullable=False),
    Column("severity", String, nullable=False),
    Column("title", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    Column("first_notification", BigInteger, nullable=False),
    Column("last_notification", BigInteger, nullable=False),
    Column("firing", Integer, nullable=False),
    Column("resolved", Integer, nullable=False),
    Column("truncated", Integer, nullable=False),
    Column("repeats", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("map_revision", String, nullable=False),
    Column("document", Text, nullable=False),  # alerts and explanations, see store.incidents
    Index("incidents_of_group", "alert_group", "closed_at"),
    Index("incidents_open", "id", sqlite_where=text("state = 'open'"), postgresql_where=text("state = 'open'")),
)

# One row a message in Slack. It holds what it should show (`wanted`) and what Slack is known to show (`shown`).
messages = Table(
    "messages",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("incident", String),  # NULL for a notice
    Column("kind", String, nullable=False),
    Column("channel", String),  # NULL: the fallback channel of the map in force when it is sent
    Column("ts", String),  # Slack's name of the message; NULL until it was posted
    Column("state", String, nullable=False),
    Column("wanted", Integer, nullable=False),
    Column("shown", Integer, nullable=False),
    Column("wanted_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),  # while leased: the end of the lease
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
    Column("undelivered", Text),  # JSON: why it stands in the fallback channel
    Column("notice", Text),  # JSON of a Notice
    Column("cause", String),  # of a notice
    UniqueConstraint("incident", "kind", "channel"),
    Index("messages_due", "due_at", sqlite_where=text("state = 'pending'"), postgresql_where=text("state = 'pending'")),
    Index("messages_of_cause", "cause", "id"),
    Index("messages_dead", "id", sqlite_where=text("state = 'dead'"), postgresql_where=text("state = 'dead'")),
)

# The sums of the conservation law, changed in the transactions that change the rows. What still has to be done
# (waiting, pending) is counted from the rows, so that the law can be broken, and be seen to be.
totals = Table(
    "totals",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
TOTALS = ("accepted", "deduplicated", "quarantined", "decided", "wanted", "delivered", "superseded", "dead")
