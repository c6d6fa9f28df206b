"""The fields of both dialects: the one table that the reader and the JSON Schema are made from."""

from __future__ import annotations

from trebuchet.files.durations import DURATION
from trebuchet.files.secrets import SECRETS
from trebuchet.files.shapes import (
    AMOUNT,
    FLAG,
    INTEGER,
    NUMBER,
    TEXT,
    Anything,
    Either,
    Field,
    Listed,
    Literal,
    Mapped,
    Record,
    Variable,
)

_TEXTS = Mapped(TEXT)
_ACCELERATORS = Either((TEXT, Mapped(NUMBER), Listed(TEXT)))
_PORTS = Either((INTEGER, TEXT, Listed(Either((INTEGER, TEXT)))))

_RECOVERY = Record(
    {
        "strategy": Field(TEXT, "Any strategy restarts a preempted job."),
        "max_restarts_on_errors": Field(INTEGER, "How often a failed job is started again."),
        "recover_on_exit_codes": Field(
            Either((INTEGER, Listed(INTEGER))), "Exit codes that start the job again."
        ),
        "min_nodes": Field(INTEGER, "Accepted and not used: a job has one node."),
    },
    others=Anything(),
)

_ONE: dict[str, Field] = {
    "cloud": Field(TEXT, "Where to run: modal or local. Another cloud's name needs --cloud beside it."),
    "region": Field(TEXT, "Used where it is one of Modal's regions (us, eu, us-east, …)."),
    "zone": Field(TEXT, "Accepted and not used."),
    "accelerators": Field(
        _ACCELERATORS, "GPUs: NAME, NAME:COUNT, a mapping, or several to be tried in turn."
    ),
    "cpus": Field(AMOUNT, "vCPUs: 4 or 4+."),
    "memory": Field(AMOUNT, "GiB: 32, 32+, 64GB, or 2x for GiB per vCPU."),
    "instance_type": Field(TEXT, "Refused unless cpus and memory, or accelerators, say the same."),
    "use_spot": Field(FLAG, "Accepted; sandboxes are on demand."),
    "disk_size": Field(AMOUNT, "GiB; accepted up to 512."),
    "ephemeral_storage": Field(AMOUNT, "Accepted and not used."),
    "disk_tier": Field(TEXT, "Accepted and not used."),
    "image_id": Field(Either((TEXT, _TEXTS)), "The image: docker:REPOSITORY:TAG."),
    "ports": Field(_PORTS, "Ports reachable from outside: a number, a range a-b, or a list."),
    "labels": Field(_TEXTS, "Become tags of the sandbox."),
    "image_id_map": Field(_TEXTS, "Refused: an image for each region of a cloud."),
    "config_overrides": Field(Anything(), "Refused: settings of another launcher."),
    "infra": Field(TEXT, "CLOUD/REGION/ZONE in one."),
    "gpus": Field(_ACCELERATORS, "Another name for accelerators."),
    "network_tier": Field(TEXT, "Accepted and not used."),
    "local_disk": Field(AMOUNT, "Accepted and not used."),
    "priority": Field(
        AMOUNT, "From -1000 to 1000; higher ones start first on this machine. Not used on Modal."
    ),
    "autostop": Field(Either((FLAG, AMOUNT, Anything())), "Accepted: a sandbox ends with its job."),
    "job_recovery": Field(Either((TEXT, _RECOVERY)), "When to start the job again."),
    "spot_recovery": Field(TEXT, "When to start the job again (the old name)."),
    "accelerator_args": Field(Anything(), "Refused: arguments of TPUs."),
    "max_hourly_cost": Field(NUMBER, "Refused: a budget would have to be kept; see max_cost."),
    "volumes": Field(Anything(), "Refused: disks of a cloud."),
}

_ALTERNATIVES = Listed(Record(_ONE))

_ELSEWHERE = {"candidates": "write any_of: and the alternatives below it"}

_RESOURCES: dict[str, Field] = {
    **_ONE,
    "any_of": Field(
        _ALTERNATIVES, "Alternatives, tried in turn; each is laid over the fields beside this one."
    ),
    "ordered": Field(
        _ALTERNATIVES, "Alternatives, tried in turn; each is laid over the fields beside this one."
    ),
}

_STORAGE = Record(
    {
        "source": Field(Either((TEXT, Listed(TEXT))), "s3://…, gs://… or r2://…"),
        "name": Field(TEXT, "Alone: the name of a Volume."),
        "store": Field(TEXT, "Which service holds the bucket: s3, gcs or r2."),
        "mode": Field(TEXT, "MOUNT; COPY and MOUNT_CACHED are mounted too."),
        "persistent": Field(FLAG, "Whether it outlives the job."),
        "secret": Field(TEXT, "The control plane's named secret with the bucket's credentials."),
        "config": Field(Mapped(Anything()), "Its read_only is heeded, the rest is not used."),
    }
)

_VOLUME = Record(
    {
        "name": Field(TEXT, "The Volume's name."),
        "sub_path": Field(TEXT, "The folder of the Volume that is mounted."),
        "size": Field(AMOUNT, "Without a name: scratch space that ends with the job."),
        "type": Field(TEXT, "Accepted and not used."),
        "labels": Field(_TEXTS, "Accepted and not used."),
        "config": Field(Anything(), "Accepted and not used."),
    }
)

_BOTH: dict[str, Field] = {
    "name": Field(TEXT, "What people call the job."),
    "num_nodes": Field(INTEGER, "Only 1 can be run."),
    "resources": Field(Record(_RESOURCES, _ELSEWHERE), "What the job needs."),
    "envs": Field(Mapped(Variable()), "Environment variables; null for one to be given at launch."),
    "secrets": Field(
        SECRETS, "Secret environment variables; null, or a list of names, for those to be given at launch."
    ),
    "volumes": Field(Mapped(Either((TEXT, _VOLUME))), "Place in the sandbox to Volume."),
    "setup": Field(TEXT, "A bash script that runs before run."),
    "run": Field(TEXT, "The bash script that is the job."),
    "timeout": Field(DURATION, "How long the job may take: seconds, or 90m, 24h."),
    "max_restarts": Field(INTEGER, "How often the job may be started again."),
    "restart_on": Field(
        Listed(Either((INTEGER, TEXT))), "What starts it again: preempted, failure, or exit codes."
    ),
    "image_secret": Field(
        TEXT, "The named secret that opens the registry of image_id: REGISTRY_USERNAME and REGISTRY_PASSWORD."
    ),
    "max_duration": Field(DURATION, "How long all attempts together may take."),
    "max_cost": Field(NUMBER, "US dollars that all attempts together may cost."),
}

_OUTPUTS = Either((Literal(value=False), Listed(TEXT)))

OUMI = Record(
    {
        **_BOTH,
        "user": Field(TEXT, "Whose job it is; becomes a tag."),
        "working_dir": Field(TEXT, "The local folder whose contents the scripts start in."),
        "file_mounts": Field(_TEXTS, "Place in the sandbox to local file or folder."),
        "storage_mounts": Field(Mapped(_STORAGE), "Place in the sandbox to bucket."),
        "outputs": Field(_OUTPUTS, "Paths to keep beside /outputs; false for none."),
    },
    elsewhere={"workdir": "in Oumi's job files it is working_dir"},
)

SKYPILOT = Record(
    {
        **_BOTH,
        "workdir": Field(
            Either(
                (
                    TEXT,
                    Record({"url": Field(TEXT, "A git URL."), "ref": Field(TEXT, "Branch, tag or commit.")}),
                )
            ),
            "The local folder, or git repository, whose contents the scripts start in.",
        ),
        "file_mounts": Field(
            Mapped(Either((TEXT, _STORAGE))), "Place in the sandbox to local path, bucket or Volume."
        ),
        "outputs": Field(
            Either((*_OUTPUTS.shapes, Mapped(Anything()))), "Paths to keep beside /outputs; false for none."
        ),
        "inputs": Field(Anything(), "Accepted and not used: an estimate for another launcher."),
        "service": Field(Anything(), "Refused: a service; --as-task runs its script once as a job."),
        "pool": Field(Anything(), "Refused: a pool of workers."),
        "config": Field(Anything(), "Refused: settings of another launcher."),
        "managed_secrets": Field(Anything(), "Refused: values that another launcher's server keeps."),
        "api_server_access": Field(FLAG, "Accepted and not used: there is no server of another launcher."),
        "experimental": Field(Anything(), "Refused: settings of another launcher."),
        "event_callback": Field(Anything(), "Refused: a command to run on another launcher's events."),
        "execution": Field(Anything(), "Refused: how several tasks follow one another."),
    },
    elsewhere={
        "working_dir": "in SkyPilot's task files it is workdir",
        "user": "a field of Oumi's job files",
        "storage_mounts": "in SkyPilot's task files it is file_mounts",
    },
)
