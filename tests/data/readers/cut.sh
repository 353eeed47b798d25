#!/bin/sh
# Stands in for a reader of HDF5 files that fails.
printf '+\005\000\000\000ab'
