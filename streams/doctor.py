"""Looks at everything a deployment needs and says what to do about what is wrong."""

import os
import resource
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from events.clock import Clock
from events.errors import HeadwaterError
from streams.checks import Check, Status
from streams.doctor_servers import broker_checks, redis_checks
from streams.settings import Settings

GIB = 1024**3
DISK_WARN_BYTES, DISK_FAIL_BYTES = 5 * GIB, GIB // 2
FILES_WARN, FILES_FAIL = 4096, 256


def run(
    settings: Settings, *, clock: Clock, load_models: Callable[[], str], misspelt: Sequence[str] = ()
) -> list[Check]:
    """Every check, in the order in which to mend things. Only starts what is embedded, for a moment.

    load_models: loads the model files and says what it loaded, or raises HeadwaterError or OSError.
    misspelt: what `misspelt_variables` found.
    """
    return [
        _files(settings),
        *(_misspelt(line) for line in misspelt),
        _open_files(),
        _disk(settings),
        _models(load_models),
        *broker_checks(settings, clock=clock),
        *redis_checks(settings, clock=clock),
    ]


def _files(settings: Settings) -> Check:
    named = {
        "KAFKA_SSL_CAFILE": settings.kafka.ssl_cafile,
        "KAFKA_SSL_CERTFILE": settings.kafka.ssl_certfile,
        "KAFKA_SSL_KEYFILE": settings.kafka.ssl_keyfile,
        "REDIS_SSL_CA_CERTS": settings.redis.ssl_ca_certs,
        "REDIS_SSL_CERTFILE": settings.redis.ssl_certfile,
        "REDIS_SSL_KEYFILE": settings.redis.ssl_keyfile,
    }
    unreadable = [f"{name}={path}" for name, path in named.items() if path and not os.access(path, os.R_OK)]
    if unreadable:
        return Check(
            "settings",
            Status.FAIL,
            f"cannot read {', '.join(unreadable)}",
            "correct the path or make the file readable for this user",
        )
    return Check("settings", Status.OK, "valid; every file they name is readable")


def _misspelt(line: str) -> Check:
    what = "correct the name; if it is another program's variable, leave it as it is"
    return Check("environment", Status.WARN, line, what)


def _open_files() -> Check:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= FILES_WARN:
        return Check(
            "open files", Status.OK, "no limit" if soft == resource.RLIM_INFINITY else f"limit {soft}"
        )
    status = Status.FAIL if soft < FILES_FAIL else Status.WARN
    return Check(
        "open files", status, f"limit {soft}", f"raise it to {FILES_WARN} or more (ulimit -n {FILES_WARN})"
    )


def _disk(settings: Settings) -> Check:
    folder = Path(settings.learner.snapshot_dir).absolute()
    existing = next(path for path in [folder, *folder.parents] if path.exists())
    if not os.access(existing, os.W_OK):
        return Check(
            "snapshots",
            Status.FAIL,
            f"{existing} is not writable",
            "set HEADWATER_LEARNER_SNAPSHOT_DIR to a folder that is, or change its permissions",
        )
    free = shutil.disk_usage(existing).free
    detail = f"{free / GIB:.1f} GiB free at {existing}"
    if free >= DISK_WARN_BYTES:
        return Check("snapshots", Status.OK, detail)
    status = Status.FAIL if free < DISK_FAIL_BYTES else Status.WARN
    return Check(
        "snapshots", status, detail, "free some, or set HEADWATER_LEARNER_SNAPSHOT_DIR to another disk"
    )


def _models(load_models: Callable[[], str]) -> Check:
    try:
        return Check("models", Status.OK, load_models())
    except (HeadwaterError, OSError) as error:
        return Check(
            "models",
            Status.FAIL,
            str(error),
            "set HEADWATER_LEARNER_ENCODER to an encoder on this machine, or install the package again",
        )
