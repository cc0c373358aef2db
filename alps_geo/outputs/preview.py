"""The output of a picture: the scene, its labels and segments, and the meaning of the colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alps_geo.fields.formats import PREVIEW_FORMATS
from alps_geo.files import write_bytes
from alps_geo.outputs.names import LABELS, SEGMENTS, preview_file
from alps_geo.outputs.output import Output, check_present
from alps_geo.outputs.pdf import to_pdf
from alps_geo.outputs.preview_sheet import Captions, preview_sheet
from alps_geo.outputs.preview_source import PICTURE, read_map, store_pictures
from alps_geo.outputs.svg import to_svg

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from alps_geo.clusters.legend import Legend
    from alps_geo.fields.formats import ChosenFormats
    from alps_geo.outputs.drawing import Drawing
    from alps_geo.outputs.output import LabelledScene, SceneSource
    from alps_geo.outputs.preview_sheet import MapPicture


class Preview(Output):
    """``preview.png``, ``.pdf`` and ``.svg``: the scene and its labels at a glance."""

    files = tuple(map(preview_file, PREVIEW_FORMATS))
    needs = (LABELS, SEGMENTS)

    def files_in(self, chosen: ChosenFormats) -> tuple[str, ...]:
        """Return the names of the previews in the formats that are chosen."""
        return tuple(preview_file(each) for each in PREVIEW_FORMATS if each in chosen.previews)

    def check(self, labelled: LabelledScene) -> None:
        """Check that the picture of the scene is there."""
        check_present(labelled.segments_folder / PICTURE)

    def write(self, labelled: LabelledScene, source: SceneSource) -> None:
        """Store the pictures of the scene, and draw the preview."""
        segments = len(labelled.segments)
        store_pictures(labelled.segments_folder, labelled.folder, source.scene, segments)
        self.rewrite(labelled)

    def rewrite(self, labelled: LabelledScene) -> None:
        """Draw the preview from the pictures of the scene and its rasters."""
        folder = labelled.folder
        picture = read_map(labelled.segments_folder, folder / LABELS, folder / SEGMENTS)
        paths = [folder / name for name in self.files if name in labelled.results]
        write_preview(paths, picture, labelled.model.legend, title=labelled.title)

    def rewrite_legend(self, labelled: LabelledScene) -> None:
        """Draw the preview again."""
        self.rewrite(labelled)


def write_preview(
    paths: Iterable[Path],
    picture: MapPicture,
    clusters: Legend,
    *,
    title: str | None = None,
    captions: Captions | None = None,
) -> None:
    """Draw a scene next to its labels and segments, with scales and a legend.

    The same arrays give the same bytes. A warning is logged if a name has letters that no typeface
    has.

    Parameters
    ----------
    paths : iterable of pathlib.Path
        Files to write, one in each format: .png, .pdf or .svg. Those that are there are replaced at
        the end.
    picture : MapPicture
        The scene.
    clusters : alps_geo.clusters.legend.Legend
        Colours and names of all clusters that the legend lists.
    title : str, optional
        Above the panels.
    captions : Captions, optional
        Above each panel, and above the names in the legend.

    Raises
    ------
    RunError
        If a file cannot be written.
    """
    drawing = preview_sheet(picture, clusters, title, captions or Captions())
    drawing.warn()
    for path in paths:
        write_bytes(path, _content(drawing, path.suffix))


def _content(drawing: Drawing, ending: str) -> bytes:
    if ending == ".pdf":
        return to_pdf(drawing)
    return to_svg(drawing) if ending == ".svg" else drawing.to_png()
