"""Begins a revision of the schema: `make revision NAME="what it does"` writes what the tables have and the revisions lack."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from alembic import command

from flowgraph_runtime.storage.migrations import configuration, make_by_revisions
from flowgraph_runtime.storage.opening import connect_database


def main(message: str) -> None:
    database = connect_database("sqlite://")
    with database.altering() as connection:
        config = configuration(connection)
        versions = (Path(str(config.get_main_option("script_location"))) / "versions").glob("v*.py")
        newest = max(int(re.sub(r"v(\d+)_.*", r"\1", file.name)) for file in versions)
        make_by_revisions(connection, newest)
        command.revision(config, message, autogenerate=True, rev_id=f"{newest + 1:04d}")
        print(f"set SCHEMA_VERSION = {newest + 1} in storage/tables.py, read what was written, give rows in use their values")
    database.close()


if __name__ == "__main__":
    main(sys.argv[1])
