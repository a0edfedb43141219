from . import gc as gc
from . import verify as verify
