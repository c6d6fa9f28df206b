"""Job files: text and overrides in, a `JobConfig` out, or every fault at once."""

from trebuchet.files.load import job_from_text, load_job

__all__ = ["job_from_text", "load_job"]
