from .api import apply as apply
from .api import fit as fit
from .api import label as label
from .api import label_images as label_images
from .api import open_run as open_run
from .review.opened_run import Labels as Labels
from .review.opened_run import Run as Run
from .settings import LabelSettings as LabelSettings

__version__: str
