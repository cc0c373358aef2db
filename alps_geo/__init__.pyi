from .api import Labels as Labels
from .api import Run as Run
from .api import apply as apply
from .api import fit as fit
from .api import label as label
from .api import open_run as open_run
from .settings import LabelSettings as LabelSettings

__version__: str
