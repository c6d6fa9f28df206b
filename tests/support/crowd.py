"""A process whose sixteen threads do everything with one ledger at once: `crowd.py CLUSTER SEED OPERATIONS`.

Prints what went wrong, a line each; nothing where nothing did.
"""

from __future__ import annotations

import random
import sys
from concurrent.futures import ThreadPoolExecutor

from trebuchet import JobConfig, JobResources, Launcher
from trebuchet.errors import JobNotFoundError, LaunchError

THREADS = 16
KEYS = 12


def main() -> None:
    cluster, seed, operations = sys.argv[1], sys.argv[2], int(sys.argv[3])
    launcher = Launcher()
    job = JobConfig(name="crowd", run="sleep 600", resources=JobResources(cloud="local"))

    def work(thread: int) -> None:
        dice = random.Random(f"{seed} {thread}")
        for _ in range(operations):
            key = f"{cluster}-{dice.randrange(KEYS)}"
            acts = {
                "up": lambda key=key: launcher.up(job, cluster, key=key),
                "up again": lambda key=key: launcher.up(job, cluster, key=key),
                "find": lambda key=key: launcher.find(key),
                "events": lambda key=key: launcher.events(key),
                "jobs": lambda: launcher.jobs(cluster=cluster),
                "reconcile": launcher.reconcile,
                "cancel": lambda key=key: launcher.cancel(key),
            }
            name = dice.choice(list(acts))
            try:
                acts[name]()
            except JobNotFoundError:
                pass  # It was not launched yet.
            except LaunchError as error:
                if "was cancelled" not in str(error):  # by another thread, while this one launched it
                    print(f"{name} {key}: {error}", flush=True)
            except Exception as error:  # noqa: BLE001 - all of them are what is looked for
                print(f"{name} {key}: {type(error).__name__}: {error}", flush=True)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))


main()
