// The tap of a pooling window's first maximum (row by row), for each channel of an item. `corner`: the window's first item of the
// input, which has `words` items to a pixel.
// item input

fn first_maximum(corner: u32, words: u32) -> Index {
    var best = Value(input[corner]);
    var argmax = Index();
    for (var tap = 1u; tap < KERNEL * KERNEL; tap++) {
        let value = Value(input[corner + (tap / KERNEL * IN_W + tap % KERNEL) * words]);
        let larger = value > best;
        best = select(best, value, larger);
        argmax = select(argmax, Index(tap), larger);
    }
    return argmax;
}
