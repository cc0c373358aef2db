"""Arithmetic of pixel windows, apart from that of `rasterio.windows`.

A window is a `rasterio.windows.Window` of whole pixels. Slices are (row, col), half-open.
"""

from __future__ import annotations

from rasterio.windows import Window, intersection


def whole(height: int, width: int) -> Window:
    """Window of a whole raster of this shape."""
    return Window(0, 0, width, height)


def origin(window: Window) -> tuple[int, int]:
    """First row and column of a window.

    >>> origin(Window(30, 20, 5, 5))
    (20, 30)
    """
    return int(window.row_off), int(window.col_off)


def within(inner: Window, outer: Window) -> tuple[slice, slice]:
    """Slices of a window in an array that covers a window around it.

    >>> within(Window(30, 20, 5, 4), Window(28, 20, 10, 10))
    (slice(0, 4, None), slice(2, 7, None))
    """
    top = inner.row_off - outer.row_off
    left = inner.col_off - outer.col_off
    return slice(top, top + inner.height), slice(left, left + inner.width)


def buffered(window: Window, pixels: int, bounds: Window) -> Window:
    """Widen a window on each side, as far as bounds go that hold it.

    >>> buffered(Window(1, 10, 4, 4), 2, whole(100, 100))
    Window(col_off=0, row_off=8, width=7, height=8)
    """
    wide = Window(
        window.col_off - pixels,
        window.row_off - pixels,
        window.width + 2 * pixels,
        window.height + 2 * pixels,
    )
    return intersection(wide, bounds)


def extended(window: Window, pixels: int, bounds: Window) -> Window:
    """Extend a window downwards and to the right, as far as bounds go that hold it.

    >>> extended(Window(0, 96, 4, 4), 1, whole(100, 100))
    Window(col_off=0, row_off=96, width=5, height=4)
    """
    long = Window(window.col_off, window.row_off, window.width + pixels, window.height + pixels)
    return intersection(long, bounds)


def centred(middle: tuple[float, float], side: int, bounds: Window) -> Window:
    """Square around a (row, col), moved and cut to lie inside bounds that begin at (0, 0).

    >>> centred((5.0, 50.0), 20, whole(100, 100))
    Window(col_off=40, row_off=0, width=20, height=20)
    """
    height, width = (min(side, length) for length in (bounds.height, bounds.width))
    row = min(max(round(middle[0] - height / 2), 0), bounds.height - height)
    col = min(max(round(middle[1] - width / 2), 0), bounds.width - width)
    return Window(col, row, width, height)


def transferred(window: Window, source: Window, target: Window) -> Window:
    """Take a window to where `source`, which it is a part of, is scaled to `target`.

    >>> transferred(Window(1, 1, 2, 2), Window(0, 0, 4, 4), Window(10, 20, 8, 8))
    Window(col_off=12.0, row_off=22.0, width=4.0, height=4.0)
    """
    across, down = target.width / source.width, target.height / source.height
    return Window(
        target.col_off + (window.col_off - source.col_off) * across,
        target.row_off + (window.row_off - source.row_off) * down,
        window.width * across,
        window.height * down,
    )


def halves(window: Window, least: tuple[int, int]) -> list[Window]:
    """Cut a window across its longer side, measured in multiples of `least` (height, width).

    None is returned of a window whose sides are both shorter than twice the least.

    >>> [half.height for half in halves(whole(5, 4), (1, 1))]
    [2, 3]
    """
    rows, cols = window.toranges()
    times = window.height / least[0], window.width / least[1]
    if max(times) < 2:
        return []
    if times[0] >= times[1]:
        middle = sum(rows) // 2
        parts = [((rows[0], middle), cols), ((middle, rows[1]), cols)]
    else:
        middle = sum(cols) // 2
        parts = [(rows, (cols[0], middle)), (rows, (middle, cols[1]))]
    return [Window.from_slices(*part) for part in parts]
