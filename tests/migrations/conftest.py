"""The databases that a migration is tried on, and the ways of the integration tests."""

from __future__ import annotations

from tests.integration.conftest import each_url, log, run

__all__ = ["each_url", "log", "run"]
