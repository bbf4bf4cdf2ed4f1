#!/bin/sh
set -eu
# Numba opens a cache only where it may write. The image is read-only, so its kernels are copied to where it may.
if [ ! -e "$NUMBA_CACHE_DIR" ]; then
  cp -R /opt/kandle/kernels "$NUMBA_CACHE_DIR"
fi
# A container that is started again keeps its name, and has its partitions back at once; beside others it is itself.
name=$(uname -n)
export KANDLE_PRODUCER__INSTANCE_ID="${KANDLE_PRODUCER__INSTANCE_ID:-$name}"
export KANDLE_PROCESSORS__INSTANCE_ID="${KANDLE_PROCESSORS__INSTANCE_ID:-$name}"
export KANDLE_SINK__INSTANCE_ID="${KANDLE_SINK__INSTANCE_ID:-$name}"
exec kandle "$@"
