"""Dynamic neural networks in plain Python: a new computation graph per example, batched by itself.

import weft as dy
"""

from weft_builders import *  # noqa: F403  the umbrella hands on what the packages declare
from weft_core import *  # noqa: F403
from weft_trainers import *  # noqa: F403

__version__ = "0.1.0"
