"""Errors that a user can cause and mend.

Every message is one line that says what was found and where, what was expected, and what to do.
"""


class AlpsGeoError(Exception):
    """Base of all errors that a user can cause and mend."""


class SceneError(AlpsGeoError):
    """A scene that cannot be opened, read or understood."""


class ModelError(AlpsGeoError):
    """A model, checkpoint or device that is unknown, absent, corrupt or of another kind."""


class ModelMemoryError(ModelError, MemoryError):
    """Memory that does not suffice for a model, or for what it works on."""


class SettingsError(AlpsGeoError):
    """A setting that is unknown, out of range or impossible for the given scenes."""


class RunError(AlpsGeoError):
    """A run folder that cannot be used or written."""


class DiskError(RunError):
    """A result that the disk does not take: it is full, read-only, or gone."""


class StoreError(RunError):
    """An object store that does not answer, or that lets nobody in."""


def one_line(error: BaseException) -> str:
    """Return the text of an error in one line; its type where it has none."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def reason_of(error: BaseException) -> str:
    """Return the first cause of an error in one line, an error of the system without its number."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(error)
