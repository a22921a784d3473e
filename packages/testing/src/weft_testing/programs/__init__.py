"""Whole programs: what no single operation shows. Each is a check of a backend by a name that says what must hold."""

from __future__ import annotations

from . import cells, gradients, lifetimes, planning, residence, values
from .table import PROGRAMS

__all__ = ["PROGRAMS", "cells", "gradients", "lifetimes", "planning", "residence", "values"]
