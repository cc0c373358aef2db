"""The page that shows what clusters look like: HTML with all that it needs inside."""

from __future__ import annotations

import base64
import shlex
from dataclasses import dataclass
from html import escape
from io import BytesIO
from string import Template
from typing import TYPE_CHECKING

from alps_geo.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL import Image


@dataclass(frozen=True)
class Crop:
    """A segment in its surroundings.

    Attributes
    ----------
    scene : str
        Name of the scene.
    segment : int
        Its id.
    confidence : float
        See `alps_geo.clusters.model.Assigned`.
    image : PIL.Image.Image
        RGB, with the segment outlined.
    quality : int
        Of the JPEG that it becomes.
    """

    scene: str
    segment: int
    confidence: float
    image: Image.Image
    quality: int


@dataclass(frozen=True)
class ClusterCrops:
    """A cluster, and what it looks like.

    Attributes
    ----------
    cluster : int
        Its id.
    name : str
        Its name; empty for none.
    color : str
        As CSS writes it.
    share : float
        Of the valid pixels of all scenes.
    segments : int
        How many there are.
    map : PIL.Image.Image
        Where it lies.
    typical, doubtful : tuple of Crop
        The most typical first, the most doubtful first.
    """

    cluster: int
    name: str
    color: str
    share: float
    segments: int
    map: Image.Image
    typical: tuple[Crop, ...]
    doubtful: tuple[Crop, ...]


def write_gallery_page(
    path: Path, run: str, stamp: str, scenes: Sequence[str], clusters: Sequence[ClusterCrops]
) -> None:
    """Write the page.

    Names that are typed into it make up the command that gives them to the clusters; without
    JavaScript the command is there to be filled in by hand.

    Parameters
    ----------
    path : pathlib.Path
        Where to write; a file that is there is replaced at the end.
    run : str
        The run folder, as the command names it.
    stamp : str
        `alps_geo.clusters.model.ClusterModel.stamp`, so that the command gives names to no others.
    scenes : sequence of str
        Names of the scenes.
    clusters : sequence of ClusterCrops
        In the order of the page.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    command = f"alps-geo clusters name {shlex.quote(run)} --seen {stamp}"
    pairs = [shlex.quote(f"{each.cluster}={each.name}") for each in clusters]
    page = _PAGE.substitute(
        title=escape(f"{len(clusters)} clusters of {', '.join(scenes)}"),
        command=escape(command, quote=True),
        filled=escape(" ".join([command, *pairs])),
        clusters="\n".join(_section(each) for each in clusters),
    )
    write_bytes(path, page.encode())


def _section(each: ClusterCrops) -> str:
    number, name = each.cluster, escape(each.name, quote=True)
    return _SECTION.substitute(
        cluster=number,
        color=escape(each.color, quote=True),
        name=name,
        share=f"{each.share:.1%}",
        segments=f"{each.segments:,}",
        map=_data(each.map, 80),
        map_alt=f"where cluster {number} lies",
        typical="".join(map(_figure, each.typical)) or _NOTHING,
        doubtful="".join(map(_figure, each.doubtful)) or _NOTHING,
    )


def _figure(crop: Crop) -> str:
    about = escape(
        f"{crop.scene}, segment {crop.segment}, confidence {crop.confidence:.2f}", quote=True
    )
    return f'<img src="{_data(crop.image, crop.quality)}" alt="{about}" title="{about}">'


def _data(image: Image.Image, quality: int) -> str:
    buffer = BytesIO()
    image.save(buffer, format="JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


_NOTHING = "<p>none</p>"

_SECTION = Template("""\
<section id="cluster-$cluster">
<div class="about">
<label><span class="patch" style="background:$color"></span><b>$cluster</b>
<input data-cluster="$cluster" value="$name" placeholder="name" autocomplete="off"></label>
<p>$share of the pixels, $segments segments</p>
</div>
<img class="map" src="$map" alt="$map_alt" title="$map_alt">
<div><h2>typical</h2><div class="crops">$typical</div></div>
<div><h2>doubtful</h2><div class="crops">$doubtful</div></div>
</section>""")

_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>$title</title>
<style>
body { margin: 0 24px 120px; font: 15px/1.4 system-ui, sans-serif; color: #262a30; }
h1 { font-size: 22px; margin: 20px 0 4px; }
h2 { font-size: 12px; font-weight: normal; color: #787e86; margin: 0 0 3px; }
p { margin: 4px 0; color: #5a6068; }
section { display: flex; gap: 18px; padding: 12px 0; border-top: 1px solid #dfe2e6; }
.about { flex: 0 0 210px; }
.about label { display: flex; align-items: center; gap: 8px; }
.about b { min-width: 1.6em; font-size: 18px; }
.about input { flex: 1; min-width: 0; font: inherit; padding: 4px 6px; }
.patch { width: 22px; height: 22px; border: 1px solid #b0b5bc; flex: none; }
.map { align-self: flex-start; border: 1px solid #b0b5bc; flex: none; }
.crops { display: flex; flex-wrap: wrap; gap: 4px; align-items: flex-start; }
footer { position: fixed; bottom: 0; left: 0; right: 0; padding: 10px 24px; background: #fff;
 border-top: 2px solid #b0b5bc; display: flex; gap: 12px; align-items: center; }
code { flex: 1; max-height: 84px; overflow: auto; white-space: pre-wrap; word-break: break-word;
 background: #f3f4f6; padding: 6px 8px; user-select: all; }
button { font: inherit; padding: 6px 14px; }
</style>
</head>
<body>
<h1>$title</h1>
<p>Typical segments lie near the centre of their cluster, doubtful ones near the border to another.
Type names; the line at the bottom gives them to the clusters. Clusters may share a name.</p>
$clusters
<footer><code id="command">$filled</code><button id="copy" hidden>Copy</button></footer>
<script data-command="$command">
const begin = document.currentScript.dataset.command;
const line = document.getElementById("command");
const inputs = [...document.querySelectorAll("input")];
const quoted = text => /^[\\w@%+=:,./-]+$$/.test(text) ? text
  : "'" + text.replaceAll("'", "'\\"'\\"'") + "'";
function show() {
  const named = inputs.filter(input => input.value.trim() || input.defaultValue);
  const pairs = named.map(input => quoted(input.dataset.cluster + "=" + input.value.trim()));
  line.textContent = [begin, ...(pairs.length ? pairs : ["1=… 2=…"])].join(" ");
}
inputs.forEach((input, place) => {
  input.addEventListener("input", show);
  input.addEventListener("keydown", event => {
    if (event.key === "Enter") inputs[(place + 1) % inputs.length].focus();
  });
});
const copy = document.getElementById("copy");
copy.hidden = !navigator.clipboard;
copy.addEventListener("click", () => navigator.clipboard.writeText(line.textContent));
show();
</script>
</body>
</html>
""")
