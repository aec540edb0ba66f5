"""The tables, as numbered migrations. Instants are microseconds since 1970.

`{serial}` and `{blob}` are the two words for which the engines have none in common. From version 4 on a change
only adds, so that a router of the version before goes on beside a newer one while replicas are replaced one by one.
"""

from typing import Final

# Each step takes the schema from the version before it to its own number, which is its place in the list, from 1.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        # One row a request body. The body stands in a table of its own: a state is written twice, a body once.
        """
        CREATE TABLE notifications (
            id BIGINT PRIMARY KEY,
            source TEXT NOT NULL,
            received_at BIGINT NOT NULL,
            state TEXT NOT NULL,
            error TEXT,
            duplicate_of BIGINT,
            verdicts TEXT,
            map_revision TEXT,
            decided_at BIGINT
        )
        """,
        "CREATE INDEX notifications_waiting ON notifications (id) WHERE state = 'waiting'",
        "CREATE INDEX notifications_quarantined ON notifications (id) WHERE state = 'quarantined'",
        "CREATE TABLE bodies (id BIGINT PRIMARY KEY, body {blob} NOT NULL)",
        # What each alert group was last told with effect.
        """
        CREATE TABLE tellings (
            alert_group TEXT PRIMARY KEY,
            content TEXT NOT NULL,
            notification BIGINT NOT NULL,
            sender BIGINT NOT NULL,
            reason TEXT,
            at BIGINT NOT NULL
        )
        """,
        # Alerts and explanations are one document: nothing asks for one alert alone, and a row each costs several times
        # as much to write.
        """
        CREATE TABLE incidents (
            id TEXT PRIMARY KEY,
            alert_group TEXT NOT NULL,
            source TEXT NOT NULL,
            owner TEXT,
            channel TEXT NOT NULL,
            state TEXT NOT NULL,
            severity TEXT NOT NULL,
            title TEXT NOT NULL,
            opened_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL,
            closed_at BIGINT,
            first_notification BIGINT NOT NULL,
            last_notification BIGINT NOT NULL,
            truncated INTEGER NOT NULL,
            repeats INTEGER NOT NULL,
            revision INTEGER NOT NULL,
            map_revision TEXT NOT NULL,
            document TEXT NOT NULL
        )
        """,
        "CREATE INDEX incidents_of_group ON incidents (alert_group, closed_at)",
        "CREATE INDEX incidents_open ON incidents (id) WHERE state = 'open'",
        # One row a message in Slack: what it should show (`wanted`) and what Slack is known to show (`shown`).
        """
        CREATE TABLE messages (
            id {serial},
            incident TEXT, -- NULL for a notice
            kind TEXT NOT NULL,
            channel TEXT, -- NULL: the fallback channel of the map in force when it is sent
            ts TEXT, -- Slack's name of the message; NULL until it was posted
            state TEXT NOT NULL,
            wanted INTEGER NOT NULL,
            shown INTEGER NOT NULL,
            wanted_at BIGINT NOT NULL,
            due_at BIGINT NOT NULL, -- while leased: the end of the lease
            attempts INTEGER NOT NULL,
            error TEXT,
            undelivered TEXT, -- JSON: why it stands in the fallback channel
            notice TEXT, -- JSON of a Notice
            cause TEXT, -- of a notice
            UNIQUE (incident, kind, channel)
        )
        """,
        "CREATE INDEX messages_due ON messages (due_at) WHERE state = 'pending'",
        "CREATE INDEX messages_of_cause ON messages (cause, id) WHERE cause IS NOT NULL",
        "CREATE INDEX messages_dead ON messages (id) WHERE state = 'dead'",
        # The sums of the conservation law, changed in the transactions that change the rows. What still has to be done
        # (waiting, pending) is counted from the rows, so that the law can be broken, and be seen to be.
        "CREATE TABLE totals (name TEXT PRIMARY KEY, value BIGINT NOT NULL)",
        """
        INSERT INTO totals (name, value) VALUES ('accepted', 0), ('deduplicated', 0), ('quarantined', 0),
            ('decided', 0), ('wanted', 0), ('delivered', 0), ('superseded', 0), ('dead', 0)
        """,
    ),
    (
        # Decisions and incidents name the map that made them by its revision.
        """
        CREATE TABLE maps (
            revision TEXT NOT NULL,
            loaded_at BIGINT NOT NULL, -- a map that comes back has a row for each time
            map_commit TEXT,
            file TEXT NOT NULL,
            PRIMARY KEY (revision, loaded_at)
        )
        """,
    ),
    (
        # Who is late: it changes with every claim and every record of what Slack said.
        "ALTER TABLE messages ADD COLUMN token BIGINT NOT NULL DEFAULT 0",
        # Since when Slack may show it without our knowing: asked to post it, and no answer recorded yet.
        "ALTER TABLE messages ADD COLUMN asked_at BIGINT",
        "UPDATE messages SET asked_at = wanted_at WHERE state = 'pending' AND ts IS NULL AND attempts > 0",
        # The class of the last refusal, whose word is `error`.
        "ALTER TABLE messages ADD COLUMN failure TEXT",
        # The channel that `ts` is of, which for a message without a channel was the fallback channel of that time.
        "ALTER TABLE messages ADD COLUMN posted_in TEXT",
        "UPDATE messages SET posted_in = channel WHERE ts IS NOT NULL",
        "ALTER TABLE messages ADD COLUMN plain INTEGER NOT NULL DEFAULT 0",
        "UPDATE messages SET plain = 1, error = substr(error, 13) WHERE error LIKE 'plain text: %'",
        "ALTER TABLE messages ADD COLUMN urgency INTEGER NOT NULL DEFAULT 2",
        # The digest that shows it, in the place of a post of its own.
        "ALTER TABLE messages ADD COLUMN digest BIGINT",
        "CREATE INDEX messages_of_digest ON messages (digest) WHERE digest IS NOT NULL",
        # What waits, by channel and in its order there, with all that is asked of it: read as a whole at each claim.
        """
        CREATE INDEX messages_in_turn
        ON messages (channel, urgency, wanted_at DESC, id DESC, due_at, kind, asked_at, ts) WHERE state = 'pending'
        """,
        # Dead letters that somebody replayed or dropped, and the replay that did it.
        "ALTER TABLE messages ADD COLUMN handled_at BIGINT",
        "ALTER TABLE messages ADD COLUMN replay TEXT",
        "ALTER TABLE notifications ADD COLUMN handled_at BIGINT",
        "ALTER TABLE notifications ADD COLUMN replay TEXT",
        "DROP INDEX messages_dead",
        "CREATE INDEX messages_dead ON messages (id) WHERE state = 'dead' AND handled_at IS NULL",
        "DROP INDEX notifications_quarantined",
        """
        CREATE INDEX notifications_quarantined ON notifications (id)
        WHERE state = 'quarantined' AND handled_at IS NULL
        """,
        "CREATE INDEX incidents_closed ON incidents (closed_at) WHERE closed_at IS NOT NULL",
        # Channels that refused: nothing is sent there until a probe says that it is taken again.
        """
        CREATE TABLE refused_channels (
            channel TEXT PRIMARY KEY,
            reason TEXT NOT NULL,
            since BIGINT NOT NULL,
            probe_at BIGINT NOT NULL
        )
        """,
        # Which of several routers on one database does what only one may do. The term grows with every new holder.
        """
        CREATE TABLE leases (
            name TEXT PRIMARY KEY,
            holder TEXT NOT NULL,
            term BIGINT NOT NULL,
            ends_at BIGINT NOT NULL
        )
        """,
    ),
    (
        # When timers have to look at an incident next: nobody acknowledged it, it may be stale.
        "ALTER TABLE incidents ADD COLUMN due_at BIGINT",
        # All that are open may be due: an older router did not say.
        "UPDATE incidents SET due_at = updated_at WHERE closed_at IS NULL",
        "CREATE INDEX incidents_due ON incidents (due_at) WHERE due_at IS NOT NULL",
        "CREATE INDEX incidents_stale ON incidents (id) WHERE state = 'stale'",
        "ALTER TABLE incidents ADD COLUMN job TEXT",
        "CREATE INDEX incidents_of_job ON incidents (job) WHERE job IS NOT NULL AND closed_at IS NULL",
        # The longest time between two repeats of a group; and what it was told to be over that nobody was told to fire.
        "ALTER TABLE tellings ADD COLUMN rhythm BIGINT",
        "ALTER TABLE tellings ADD COLUMN ended TEXT",  # JSON: fingerprint -> [since, until, sender]
        # What people did about incidents. Stored before it is answered, applied by who decides.
        """
        CREATE TABLE actions (
            id {serial},
            incident TEXT NOT NULL,
            kind TEXT NOT NULL,
            made_by TEXT NOT NULL,
            at BIGINT NOT NULL,
            facts TEXT NOT NULL, -- JSON
            press TEXT UNIQUE, -- which press of a button it is: the same one again changes nothing
            state TEXT NOT NULL, -- waiting, done, refused
            outcome TEXT, -- in words, for who did it
            done_at BIGINT
        )
        """,
        "CREATE INDEX actions_waiting ON actions (id) WHERE state = 'waiting'",
        # Alerts that always fire, by source and fingerprint.
        """
        CREATE TABLE heartbeats (
            id TEXT PRIMARY KEY,
            document TEXT NOT NULL, -- JSON
            lost INTEGER NOT NULL,
            heard_at BIGINT NOT NULL,
            due_at BIGINT -- when it is missing; NULL: its rhythm is not known, or it is lost already
        )
        """,
        "CREATE INDEX heartbeats_due ON heartbeats (due_at) WHERE due_at IS NOT NULL",
    ),
)
