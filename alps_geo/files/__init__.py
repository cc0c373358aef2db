"""Files that appear whole or not at all, on a disk or in other storages."""

from alps_geo.files.disk import (
    ARRAYS_DAMAGE,
    GDAL_CACHE_BYTES,
    SIDECARS,
    allow_open_files,
    gdal_error,
    put_bytes,
    remove_result,
    replacing,
    replacing_folder,
    restore_folder,
    run_errors,
    unwritable,
    write_bytes,
)

__all__ = [
    "ARRAYS_DAMAGE",
    "GDAL_CACHE_BYTES",
    "SIDECARS",
    "allow_open_files",
    "gdal_error",
    "put_bytes",
    "remove_result",
    "replacing",
    "replacing_folder",
    "restore_folder",
    "run_errors",
    "unwritable",
    "write_bytes",
]
