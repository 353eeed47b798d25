// Dropout of an item: x[i] / (1 - RATE) where u(i) >= RATE, else 0. u(i) is made of 24 random bits of the counters
// (before * IMAGE + i, step, seed, STREAM), so forward and backward draw the same and nothing is stored.
// use rng, step

fn dropped(id: u32, x: Value) -> Value {
    let first = params.before * IMAGE + id * LANES;
    var drawn = vec4f();
    for (var lane = 0u; lane < LANES; lane++) { drawn[lane] = unit(pcg4d(vec4u(first + lane, params.step, params.seed, STREAM)).x); }
    return select(Value(), x / (1.0 - RATE), first_lanes(drawn) >= Value(RATE));
}
