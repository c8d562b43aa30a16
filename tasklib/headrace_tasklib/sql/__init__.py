"""Prebuilt tasks that work with SQL databases through SQLAlchemy; they need the extra ``headrace[sql]``."""

from headrace_tasklib.sql.errors import SqlError
from headrace_tasklib.sql.loading import SqlLoad
from headrace_tasklib.sql.tasks import DEFAULT_URL, SqlExecute, SqlQuery, SqlScript

__all__ = ["DEFAULT_URL", "SqlError", "SqlExecute", "SqlLoad", "SqlQuery", "SqlScript"]
