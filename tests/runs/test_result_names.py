"""The names of a run's folders."""

from unicodedata import normalize

from hypothesis import given
from hypothesis import strategies as st

from alps_geo.runs.names import folder_names

# Names that are one name on some disk: case, composition, and letters without a one-letter capital.
ALIKE = ("a", "A", "ä", "a\u0308", "Ä", "ß", "SS", "a-2", "A-2", "run.json", "RUN.JSON", "..")


def test_names_that_differ_in_case_or_composition_get_numbers() -> None:
    assert folder_names(["A", "b", "a", "a-2", "A"]) == ["A", "b", "a-2", "a-2-2", "A-3"]
    assert folder_names(["Zürich", "Zu\u0308rich", "ZÜRICH"]) == [
        "Zürich",
        "Zu\u0308rich-2",
        "ZÜRICH-3",
    ]


def test_no_scene_takes_the_name_of_a_file_of_the_run() -> None:
    names = ["run.json", ".tiles", "Clusters.NPZ", "gallery.html", "suggest.png", "..", "."]
    assert folder_names(names) == [f"{name}-2" for name in names]


@given(st.lists(st.sampled_from(ALIKE), max_size=9))
def test_folders_are_apart_on_any_disk(names: list[str]) -> None:
    found = folder_names(names)
    assert all(new.startswith(name) for name, new in zip(names, found, strict=True))
    assert len({normalize("NFD", name.casefold()).casefold() for name in found}) == len(names)
