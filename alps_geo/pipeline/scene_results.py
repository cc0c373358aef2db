"""Results of the scenes of a run whose segments have clusters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from alps_geo.outputs.output import LabelledScene, Place, SceneSource
from alps_geo.outputs.results import scene_files, write_results
from alps_geo.runs.failures import write_each
from alps_geo.scene.raster import absolute_path
from alps_geo.segments.painting import StoredPainting, painted_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from alps_geo.clusters.tree import Assigned
    from alps_geo.events import Tally
    from alps_geo.features.mapping import Mapper
    from alps_geo.outputs.results import WrittenScene
    from alps_geo.runs.clusters import RunClusters
    from alps_geo.runs.failures import FailedScene
    from alps_geo.runs.folder import RunFolder
    from alps_geo.runs.origin import Origin
    from alps_geo.settings import LabelSettings
    from alps_geo.tiles.jobs import Job


@dataclass(frozen=True)
class SceneWriting:
    """Writing of the results of the scenes of a run.

    Attributes
    ----------
    jobs : sequence of Job
        The scenes.
    settings : LabelSettings
        Settings of the run.
    folder : RunFolder
        The run folder, which holds the segments.
    target : RunFolder
        Folder to write to.
    clusters : RunClusters
        Clusters of the segments.
    assigned : mapping of str to Assigned
        The cluster of each segment by the names of the scenes, in the order of segment ids.
    origin : Origin
        Origin of the results.
    mapper_of : callable
        Returns the mapper for the results of a scene.
    """

    jobs: Sequence[Job]
    settings: LabelSettings
    folder: RunFolder
    target: RunFolder
    clusters: RunClusters
    assigned: Mapping[str, Assigned]
    origin: Origin
    mapper_of: Callable[[Job], Mapper]

    def write(
        self, tally: Tally, *, strict: bool
    ) -> tuple[dict[str, WrittenScene], list[FailedScene]]:
        """Write the results of all scenes.

        Parameters
        ----------
        tally : Tally
            Told of each scene.
        strict : bool
            True to stop at a scene whose results cannot be written.
        """
        jobs = {job.name: job for job in self.jobs}
        return write_each(
            {name: absolute_path(job.scene.path) for name, job in jobs.items()},
            lambda name: self._write_one(jobs[name]),
            self.target.scene_folder,
            partial(tally.tell, "write"),
            strict=strict,
        )

    def _write_one(self, job: Job) -> WrittenScene:
        stored, crs = self.folder.segments_folder(job.name), job.scene.crs
        labelled = LabelledScene(
            self.target.scene_folder(job.name),
            stored,
            job.scene.name,
            self.clusters.model,
            overrides=self.clusters.overrides.of(job.name),
            origin=self.origin.provenance,
            results=frozenset(scene_files(self.settings.chosen_formats)),
            place=Place(None if crs is None else crs.to_string(), tuple(job.scene.transform)[:6]),
            simplify_by=self.settings.simplify,
            found=self.assigned[job.name],
        )
        blocks = painted_blocks(StoredPainting(stored), job.grid)
        return write_results(labelled, SceneSource(job.scene, blocks, self.mapper_of(job)))
