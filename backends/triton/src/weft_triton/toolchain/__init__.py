"""Triton as this backend uses it; nothing outside of this folder knows Triton's private names."""

from __future__ import annotations

from .interpreter import INTERPRETED
from .launch import bind
from .program import Program
from .resources import Resources, ahead_of_time

__all__ = ["INTERPRETED", "Program", "Resources", "ahead_of_time", "bind"]
