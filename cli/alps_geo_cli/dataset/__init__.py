"""``alps-geo dataset``: folders of images instead of maps."""

from __future__ import annotations

from alps_geo_cli.dataset.label import label
from alps_geo_cli.groups import spread
from alps_geo_cli.help import App

dataset = App(
    name="dataset",
    help="""Work on folders of images, such as ROOT/img_dir/{train,val,test}/*.png of ALPS.

    Examples
    --------
    alps-geo dataset label ROOT --vis
    """,
    no_args_is_help=True,
)
dataset.command()(spread(label))
