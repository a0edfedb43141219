from .attractor import SlowManifold as SlowManifold
from .search import explain as explain
from .search import find_manifolds as find_manifolds
from .search import isolated as isolated
from .settings import ManifoldSettings as ManifoldSettings
