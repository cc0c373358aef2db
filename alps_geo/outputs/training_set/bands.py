"""Bands of the chips of a training set, the same in all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alps_geo.errors import SettingsError

if TYPE_CHECKING:
    from alps_geo.outputs.training_set.settings import ExportSettings
    from alps_geo.outputs.training_set.source import ChipSource


class ChipBands:
    """Positions of the chips' bands in each source, and a check that they are the same bands.

    Parameters
    ----------
    first : ChipSource
        A source; all others are compared with it.
    settings : ExportSettings
        Chosen bands and values.
    """

    def __init__(self, first: ChipSource, settings: ExportSettings) -> None:
        self._chosen = settings.bands
        self._is_native = settings.is_native
        self._first, self._names, self._dtype = first.path, first.band_names, first.dtype
        if settings.is_native and settings.bands is not None:
            positions = self._numbered(first, settings.bands)
            self._names = tuple(first.band_names[each] for each in positions)

    def __len__(self) -> int:
        return len(self._names) if self._is_native else 3

    def of(self, source: ChipSource) -> tuple[int, ...] | None:
        """Return the positions of the bands in a source; None for a picture.

        Raises
        ------
        SettingsError
            If the source lacks a band, or has another data type.
        """
        if not self._is_native:
            return None
        if source.dtype != self._dtype:
            raise SettingsError(
                f"{source.path} has {source.dtype} values and {self._first} {self._dtype}; all "
                "chips of a set need the same: export with --values 8bit, or the scenes in runs "
                "of their own"
            )
        if self._chosen is not None:
            return self._numbered(source, self._chosen)
        if sorted(source.band_names) != sorted(self._names):
            raise SettingsError(
                f"{source.path} has the bands {', '.join(source.band_names)} and {self._first} "
                f"{', '.join(self._names)}; give the --bands that all have, or --values 8bit"
            )
        return tuple(source.band_names.index(name) for name in self._names)

    def _numbered(self, source: ChipSource, numbers: tuple[int, ...]) -> tuple[int, ...]:
        known = source.band_numbers
        if unknown := [each for each in numbers if each not in known]:
            raise SettingsError(
                f"bands is {','.join(map(str, numbers))}, but {source.path} has no data band "
                f"{', '.join(map(str, unknown))}; expected some of {', '.join(map(str, known))}"
            )
        return tuple(known.index(each) for each in numbers)
