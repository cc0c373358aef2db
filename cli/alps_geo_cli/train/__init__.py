"""``alps-geo train``: segmentation networks, trained on pseudo-labels and on real ones."""

from __future__ import annotations

from alps_geo_cli.groups import spread
from alps_geo_cli.help import App
from alps_geo_cli.train.finetune import finetune
from alps_geo_cli.train.pretrain import pretrain

train = App(
    name="train",
    help="""Train segmentation networks on pseudo-labels, and on a few real labels.

    Examples
    --------
    alps-geo train pretrain chips --out pretrained
    alps-geo train finetune chips --from model --labels a.gpkg --out tuned
    """,
    no_args_is_help=True,
)
for command in (pretrain, finetune):
    train.command()(spread(command))
