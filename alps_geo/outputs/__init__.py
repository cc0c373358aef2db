"""The files a run leaves behind: cloud-optimised GeoTIFFs, GeoPackages and previews."""
