"""Dynamic neural networks in plain Python: a new computation graph per example, batched by itself.

import weft as dy
"""

import weft_builders as _builders
import weft_core as _core
from weft_builders import *  # noqa: F403  the umbrella hands on what the packages declare
from weft_core import *  # noqa: F403
from weft_core.objects import register as _register
from weft_trainers import *  # noqa: F403

__version__ = "0.1.0"

# Files name classes and functions as the packages declare them.
for _package in (_core, _builders):
    _register(_package)
