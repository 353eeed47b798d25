#!/bin/sh
# Stands in for a reader of HDF5 files that fails.
exec yes
