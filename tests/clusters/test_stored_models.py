"""Files of cluster models: those of earlier formats, damaged ones and foreign ones."""

import zipfile
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from cluster_tables import blobs, fit
from helpers import DATA
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from alps_geo.clusters.model import FORMAT_VERSION, ClusterModel
from alps_geo.errors import RunError
from alps_geo.features.columns import Columns

KINDS = ("uint8: red, nir", "uint16: red, nir")
FEATURES = ("sam", "spectral", "texture", "shape")
NAMES = (
    *("sam.0", "sam.1", "sam.2", "mean.red", "mean.nir", "texture.1"),
    *("shape.size", "shape.ellipticity"),
)
FORMAT_3 = {
    "fitted": DATA / "clusters_format3.npz",
    "changed": DATA / "clusters_format3_changed.npz",
}


def read(path: Path) -> ClusterModel:
    return ClusterModel.from_bytes(path.read_bytes(), path.name)


def stored(**changes: NDArray[np.generic]) -> bytes:
    """Return the file of a model, with some arrays changed."""
    columns, _ = blobs()
    buffer = BytesIO()
    with np.load(BytesIO(fit(columns, 2).to_bytes())) as arrays:
        np.savez(
            buffer, **{**arrays, **{name.replace("__", "."): changes[name] for name in changes}}
        )
    return buffer.getvalue()


@pytest.mark.parametrize("which", FORMAT_3)
def test_a_model_of_format_3_gives_the_labels_that_it_gave(which: str) -> None:
    model = read(FORMAT_3[which])
    with np.load(DATA / "clusters_format3_applied.npz") as applied:
        assert model.stamp == str(applied[f"stamp_{which}"])
        for number, kind in enumerate(KINDS):
            rows = Columns(kind, FEATURES, NAMES, applied[f"values_{number}"])
            found = model.apply(rows)
            np.testing.assert_array_equal(found.cluster, applied[f"{which}_{number}_cluster"])
            for name in ("confidence", "distance"):
                expected = applied[f"{which}_{number}_{name}"]
                np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-5, atol=1e-6)


def test_a_model_of_format_3_keeps_its_legend_and_its_columns() -> None:
    fitted, changed = (read(path) for path in FORMAT_3.values())
    assert fitted.legend.ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert fitted.legend.names == {}
    assert changed.legend.ids.tolist() == [1, 2, 3, 4, 6, 7, 8]
    assert changed.legend.names == {2: "open water", 3: "Wiese ä"}
    assert changed.legend.palette[4] == (1, 2, 3)
    with np.load(FORMAT_3["changed"]) as arrays:
        np.testing.assert_array_equal(changed.legend.colors, arrays["colors"])
        # The column had another name then.
        assert arrays["names"].tolist() == [*NAMES[:-1], "shape.solidity"]
    for model in (fitted, changed):
        assert model.projection.column_names == NAMES
        assert model.projection.kinds == KINDS
        assert model.features == FEATURES
        assert '"sam_sha256": "000' in model.fitted_with


@pytest.mark.parametrize("which", FORMAT_3)
def test_a_model_of_format_3_is_written_in_the_format_of_now(which: str) -> None:
    model = read(FORMAT_3[which])
    with np.load(BytesIO(model.to_bytes())) as arrays:
        assert arrays["format_version"] == FORMAT_VERSION == 4
    again = ClusterModel.from_bytes(model.to_bytes(), "clusters.npz")
    assert again.to_bytes() == model.to_bytes()
    assert again.stamp == model.stamp


@pytest.mark.parametrize("version", [2, 5])
def test_a_model_of_another_format_is_refused(version: int) -> None:
    data = stored(format_version=np.array(version))
    message = rf"old\.npz: cluster model has format {version}, expected 3 or 4"
    with pytest.raises(RunError, match=message):
        ClusterModel.from_bytes(data, "old.npz")


def npy(array: NDArray[np.generic]) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def zipped(**members: bytes) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a zip",
        b"PK\x03\x04 cut short",
        npy(np.arange(3)),
        zipped(),
        zipped(readme=b"hello"),
        zipped(format_version=b"4"),
        (DATA / "mobile_sam_reference.npz").read_bytes(),
        stored(format_version=np.array([4, 4])),
        stored(format_version=np.array([None])),
        stored(legend__ids=np.array([2, 1])),
        stored(legend__ids=np.array([1.5, 2.5])),
        stored(legend__names=np.array(["a"])),
        stored(legend__names=np.array("a")),
        stored(legend__colors=np.zeros((2, 4), np.uint8)),
        stored(legend__colors=np.zeros(2, np.uint8)),
        stored(tree__clusters=np.array([1, 1])),
        stored(tree__parents=np.array([1, -1])),
        stored(tree__centers=np.zeros((2, 3))),
        stored(tree__centers=np.array([["a"], ["b"]])),
        stored(projection__mean=np.zeros((1, 2))),
        stored(projection__matrix=np.zeros(8)),
    ],
)
def test_other_files_are_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(RunError, match=r"my\.npz: not a cluster model") as failure:
        ClusterModel.from_bytes(data, "my.npz")
    assert "\n" not in str(failure.value)


WHOLE = (DATA / "clusters_format3_changed.npz").read_bytes()


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
@example(position=6547, flipped=64)
@settings(max_examples=150)
def test_a_damaged_byte_is_an_error_or_does_no_harm(position: int, flipped: int) -> None:
    data = bytearray(WHOLE)
    data[position] ^= flipped
    with suppress(RunError):
        model = ClusterModel.from_bytes(bytes(data), "my.npz")
        assert model.to_bytes() == ClusterModel.from_bytes(WHOLE, "my.npz").to_bytes()


@given(st.integers(0, len(WHOLE) - 1))
@settings(max_examples=50)
def test_a_file_that_was_cut_short_is_refused(length: int) -> None:
    with pytest.raises(RunError, match=r"my\.npz: not a cluster model"):
        ClusterModel.from_bytes(WHOLE[:length], "my.npz")


def test_clusters_without_a_centre_are_stored_where_earlier_versions_do_not_look() -> None:
    columns, _ = blobs()
    model = fit(columns, 3).named({2: "wood"})
    legend = model.legend.added(7, "roof", (1, 2, 3)).added(9, "")
    extended = replace(model, legend=legend)
    again = ClusterModel.from_bytes(extended.to_bytes(), "here")
    assert again.legend == legend
    assert again.stamp == extended.stamp != model.stamp
    assert [again.centre_digest(i) for i in (7, 9)] == [None, None]
    assert again.centre_digest(2) == model.centre_digest(2)
    np.testing.assert_array_equal(again.apply(columns).cluster, model.apply(columns).cluster)
    with (
        np.load(BytesIO(extended.to_bytes())) as found,
        np.load(BytesIO(model.to_bytes())) as plain,
    ):
        assert all((found[name] == plain[name]).all() for name in plain.files)
    # A centre that leads to no cluster of the legend is still damage, and so is a cluster twice.
    with pytest.raises(RunError, match="are not those of the legend"):
        ClusterModel.from_bytes(stored(legend__ids=np.array([1, 3])), "here")
    both = {
        "without_centre__ids": np.array([2]),
        "without_centre__names": np.array([""]),
        "without_centre__colors": np.zeros((1, 3), np.uint8),
    }
    with pytest.raises(RunError, match="have centres and have none"):
        ClusterModel.from_bytes(stored(**both), "here")
