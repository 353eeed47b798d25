"""What the peers' programs share: how a call is timed, and how results are printed."""

import json
import resource
import statistics
import time


def median_ms(call, seconds, warm_up=3, least=5):
    """Milliseconds of a call: the median of at least five, in about so many seconds."""
    for _ in range(warm_up):
        call()
    times, start = [], time.perf_counter()
    while len(times) < least or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    return 1e3 * statistics.median(times)


def peak_mib():
    """The most memory that this process has had, in MiB (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(**numbers):
    """Prints the results as one JSON object, the last line of the output."""
    print(json.dumps(numbers), flush=True)
