// conv2d.backward_weights in registers, first of two dispatches (formula: backward_weights_direct.wgsl; parts/conv2d_backward_weights.wgsl).
// Per output pixel a thread loads two vec4 of gradients and two vec4 of inputs (four channels seen by a tap): 64 multiply-adds for 4
// loads. Needs IN_C and OUT_C divisible by 4.
// use conv2d_backward_weights, conv2d_taps
