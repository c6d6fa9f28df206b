"""From a job to a plan: what would be asked of the control plane, as pure data, made with no I/O."""

from trebuchet.plan.machine import Machine
from trebuchet.plan.make import make_plan
from trebuchet.plan.model import Note, Plan

__all__ = ["Machine", "Note", "Plan", "make_plan"]
