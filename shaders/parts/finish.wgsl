// Four outputs from their sums: with BIAS the bias is added, RELU closes negative ones. `word`: the channels, in fours.
// vec4 bias

fn finish(sums: vec4f, word: u32) -> vec4f {
    var sum = sums;
    if BIAS { sum += bias[word]; }
    if RELU { sum = select(sum, vec4f(), sum < vec4f()); }
    return sum;
}
