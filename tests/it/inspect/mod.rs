//! Networks that explain a picture: gradients and features in the library, and `galaxy-gpu inspect`.

mod explain;
mod features;
