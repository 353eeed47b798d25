// Sums of 8 rows x 8 columns in registers; column r of a matrix: row r, four columns. The kernel's `store` takes a row: `two` says whether
// its second four columns are there.
// use products

struct Sums { left0: mat4x4f, left1: mat4x4f, right0: mat4x4f, right1: mat4x4f }

// Adds four terms: the weights of four columns each, left and right, and what four rows each have, first and second.
fn add_terms(s: Sums, left: mat4x4f, right: mat4x4f, x0: mat4x4f, x1: mat4x4f) -> Sums {
    return Sums(chains(s.left0, left, x0), chains(s.left1, left, x1), chains(s.right0, right, x0), chains(s.right1, right, x1));
}

fn store_sums(first: u32, column: u32, two: bool, s: Sums) {
    store(first, column, two, s.left0[0], s.right0[0]);
    store(first + 1u, column, two, s.left0[1], s.right0[1]);
    store(first + 2u, column, two, s.left0[2], s.right0[2]);
    store(first + 3u, column, two, s.left0[3], s.right0[3]);
    store(first + 4u, column, two, s.left1[0], s.right1[0]);
    store(first + 5u, column, two, s.left1[1], s.right1[1]);
    store(first + 6u, column, two, s.left1[2], s.right1[2]);
    store(first + 7u, column, two, s.left1[3], s.right1[3]);
}
