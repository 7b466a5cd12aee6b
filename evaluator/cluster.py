"""Start Ray for this run alone, or join a cluster: loopback only, silent, with a token, small.

Ray's own switches for usage statistics do not silence everything it sends: the dashboard looks for a cloud's
metadata server unless a bootstrap file exists in the home directory, so Ray's processes get a home of their own.
"""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tilewright.tasks.errors import UserError

OBJECT_STORE_BYTES = 100 << 20  # plans and reports are small; the default takes gigabytes of shared memory


class ClusterError(UserError):
    """Ray could not be started or joined."""


@contextlib.contextmanager
def ray_cluster(*, cpus: int, gpus: tuple[str, ...] = (), address: str | None) -> Iterator[None]:
    """Start Ray with `cpus` logical CPUs and stop it at the end, or join the cluster at `address`.

    Args:
        cpus: Workers at once.
        gpus: UUIDs of the GPUs that Ray may hand out; of a joined cluster, it knows itself.
        address: Cluster to join, or None to start one.

    Raises:
        ClusterError: Ray did not start, or nothing answers at the address.
    """
    with tempfile.TemporaryDirectory(prefix="tw-ray-") as home, _environment(_settings(Path(home), address, gpus)):
        import ray

        try:
            if address is None:
                ray.init(
                    num_cpus=cpus,
                    num_gpus=len(gpus),
                    include_dashboard=False,
                    object_store_memory=OBJECT_STORE_BYTES,
                    log_to_driver=False,
                    configure_logging=False,
                    _temp_dir=str(Path(home, "r")),
                )
            else:
                ray.init(address=address, log_to_driver=False, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            wanted = f"a Ray cluster at {address}" if address else "Ray to start"
            raise ClusterError(f"expected {wanted}; got {str(error).splitlines()[0]}") from error
        try:
            yield
        finally:
            ray.shutdown()


def _settings(home: Path, address: str | None, gpus: tuple[str, ...]) -> dict[str, str]:
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9/",
        "RAY_enable_metrics_collection": "0",
        "RAY_enable_open_telemetry": "0",
        "RAY_enable_worker_prestart": "0",
        "RAY_prestart_worker_first_driver": "0",
        "RAY_DEDUP_LOGS": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    if address is not None:
        return settings
    (home / "ray_bootstrap_config.yaml").write_text("")
    token = home / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    own = {
        "HOME": str(home),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        # The name is Ray's: with 0, on Linux too, every listener binds to 127.0.0.1.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }
    if gpus:
        own["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)  # others may be of another architecture, or in use
    return settings | own


@contextlib.contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """Set variables for Ray's processes and put the old ones back at the end."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
