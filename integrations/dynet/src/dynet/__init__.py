"""DyNet 2.1 for programs that were written for it, computed by Weft.

import dynet as dy
"""

import dynet_config as dynet_config
from _dynet import *  # noqa: F403  as in the release: the names live there
from _dynet import DynetParams, init, sys
from _dynet._devices import ERRMSG as ERRMSG
from _dynet._devices import HAVE_CUDA as HAVE_CUDA

from weft import print_graphviz as print_graphviz

__version__ = "2.1"
__gitversion__ = "2.1.2"

_CONF = dynet_config.get()

if _CONF is None:
    init()
else:
    _params = DynetParams()
    _params.from_config(_CONF)
    _params.init()

# Other options stay for the program's own parser; this one never did.
if "--dynet-viz" in sys.argv:
    sys.argv.remove("--dynet-viz")
