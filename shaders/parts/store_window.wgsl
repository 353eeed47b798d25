// Relu, maximum and argmax of a window's four pixels, four channels, to memory.
// use pool
// vec4 pooled

fn store_window(place: u32, y0: vec4f, y1: vec4f, y2: vec4f, y3: vec4f) {
    let window = pool_window(y0, y1, y2, y3);
    pooled[place] = vec4<Elem>(window.value);
    argmax[place] = window.argmax;
}
