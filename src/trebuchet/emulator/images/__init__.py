"""Images from a registry, without a Docker daemon: `pull` brings one to the disk, `cleaning` makes room."""
