"""Settings of a server: arguments first, then `FLOWGRAPH_*` variables, then `[tool.flowgraph]` of `pyproject.toml`."""

from __future__ import annotations

import ipaddress
import os
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    PyprojectTomlConfigSettingsSource,
    SettingsConfigDict,
)

from flowgraph.durations import parse_duration

_DAY = 86_400_000_000
DEFAULT_DATABASE = "sqlite:///.flowgraph/flowgraph.db"


def default_node() -> str:
    """A name for this process in the epoch table: host and process id."""
    return f"{os.uname().nodename}:{os.getpid()}"


class Layered(BaseSettings):
    """Settings by their sources: arguments, environment, `pyproject.toml` of the current directory."""

    model_config = SettingsConfigDict(
        env_prefix="FLOWGRAPH_", pyproject_toml_table_header=("tool", "flowgraph"), extra="ignore", frozen=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, environment, `pyproject.toml`, in this order."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, PyprojectTomlConfigSettingsSource(settings_cls, Path("pyproject.toml"))


class CheckSettings(Layered):
    """What `flowgraph check` reads, shows and minds. Codes are a list, or text with commas; patterns fit paths or file names."""

    targets: tuple[str, ...] = ()
    select: str | tuple[str, ...] = ()
    ignore: str | tuple[str, ...] = ()
    per_file_ignores: dict[str, str | tuple[str, ...]] = Field(default_factory=dict[str, str | tuple[str, ...]])
    warnings_as_errors: bool = False
    cache: bool = True


class Settings(Layered):
    """How a server runs. Durations are seconds, sizes bytes."""

    db: str = DEFAULT_DATABASE
    db_wait: float = Field(
        default=60.0, ge=0, description="how long serve and worker wait at their start for a PostgreSQL server that is not there"
    )
    host: str = "127.0.0.1"
    port: int = Field(default=8288, ge=0, le=65535)
    durability: Literal["full", "normal"] = "full"
    dev: bool = Field(default=False, description="no keys are asked for on a loopback address, even when some exist")
    worker: bool = Field(default=True, description="run workflows in this process")
    allow_missing: bool = Field(default=False, description="start although live runs need code that is gone; park those runs")
    allowed_hosts: tuple[str, ...] = Field(default=(), description="further names that the Host header may have")
    allowed_origins: tuple[str, ...] = Field(default=(), description="further origins that may write")
    event_origins: tuple[str, ...] = Field(default=(), description="origins whose pages may send to /e/<key>; * for all")
    step_slots: int = Field(default=1000, ge=1, description="attempts that run at once")
    step_threads: int = Field(default=64, ge=1, description="threads for synchronous steps")
    step_processes: int = Field(default=0, ge=0, description='processes for steps with executor="process"; 0: one for each CPU')
    dask_address: str = Field(default="", description='scheduler for steps with executor="dask", such as tcp://host:8786')
    claim_batch: int = Field(default=100, ge=1)
    poll_interval: float = Field(default=1.0, gt=0, description="how often to look for work that nobody announced")
    lease: float = Field(default=15.0, gt=0, description="PostgreSQL: silence after which another worker is taken for dead")
    heartbeat_interval: float = Field(default=2.0, gt=0)
    grace: float = Field(default=10.0, ge=0, description="how long a stop waits for running attempts")
    body_limit: int = Field(default=8_000_000, ge=1024)
    disk_reserve: int = Field(
        default=64_000_000, ge=0, description="free bytes on the disk of a SQLite file below which nothing new is taken (507)"
    )
    keep_runs: str = Field(default="30d", description="how long runs that are over are kept, with their journals; 'forever'")
    keep_events: str = Field(
        default="30d", description="how long events are kept, from 24h on; later waits do not see older ones; 'forever'"
    )
    node: str = Field(default_factory=default_node)

    @field_validator("keep_runs", "keep_events")
    @classmethod
    def _is_kept_for(cls, value: str, info: ValidationInfo) -> str:
        kept = _microseconds(value)
        if info.field_name == "keep_events" and kept is not None and kept < _DAY:
            raise ValueError("events are kept for 24h at least: so long a sender's id starts nothing twice")
        return value

    @property
    def kept(self) -> tuple[int | None, int | None]:
        """How long runs that are over and events are kept, in microseconds; None for ever."""
        return _microseconds(self.keep_runs), _microseconds(self.keep_events)

    @property
    def loopback(self) -> bool:
        """Whether the server is reachable from this machine only."""
        return is_loopback(self.host)


def _microseconds(text: str) -> int | None:
    return None if text == "forever" else parse_duration(text) // timedelta(microseconds=1)


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether a bind address is a loopback one (`localhost` counts, an empty or unknown name does not)."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
