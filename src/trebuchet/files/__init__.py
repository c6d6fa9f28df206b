"""Job files: text and overrides in, a `JobConfig` out, or every fault at once."""

from trebuchet.files.load import job_from_text, load_job
from trebuchet.files.variables import read_env_file, variable

__all__ = ["job_from_text", "load_job", "read_env_file", "variable"]
