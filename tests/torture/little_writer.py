"""A program that says that rows are stored: with synchronous=FULL they are. Subject of the test of the power cuts."""

import sqlite3
import sys

ROWS = 120
PAYLOAD = b"p" * 2000


def main() -> None:
    database, synchronous = sys.argv[1:]
    connection = sqlite3.connect(database, isolation_level=None)
    # A small log, so that there are checkpoints among so few rows.
    for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "wal_autocheckpoint=40"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, payload BLOB NOT NULL)")
    connection.execute("CREATE INDEX payloads ON rows (payload)")
    for number in range(1, ROWS + 1):
        connection.execute("INSERT INTO rows VALUES (?, ?)", (number, PAYLOAD + str(number).encode()))
        print(f"stored {number}", flush=True)


if __name__ == "__main__":
    main()
