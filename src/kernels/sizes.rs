//! Sizes of an operation as a struct, and their way to the names that WGSL knows them by and back.

/// What a constant can be.
pub trait Number: Copy {
    /// Its type in WGSL.
    const WGSL: &'static str;
    /// The constant's value.
    fn value(self) -> f64;
    /// The number of this value.
    fn of(value: f64) -> Self;
}

impl Number for usize {
    const WGSL: &'static str = "u32";
    fn value(self) -> f64 {
        self as f64
    }
    fn of(value: f64) -> Self {
        value as Self
    }
}

impl Number for bool {
    const WGSL: &'static str = "bool";
    fn value(self) -> f64 {
        f64::from(u8::from(self))
    }
    fn of(value: f64) -> Self {
        value != 0.0
    }
}

impl Number for f64 {
    const WGSL: &'static str = "f32";
    fn value(self) -> f64 {
        self
    }
    fn of(value: f64) -> Self {
        value
    }
}

/// Defines the sizes of an operation, each with its name in WGSL, as a struct that can be made of
/// [`Constants`](crate::kernels::Constants) and become them.
macro_rules! sizes {
    ($(#[$about:meta])* $name:ident { $($field:ident: $number:ty = $wgsl:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct $name {
            $(#[doc = concat!("`", $wgsl, "`.")] pub $field: $number,)+
        }

        impl $name {
            /// As WGSL knows them.
            pub const CONSTANTS: &'static [$crate::kernels::Constant] = &[$($crate::kernels::Constant {
                name: $wgsl,
                wgsl: <$number as $crate::kernels::sizes::Number>::WGSL,
            }),+];
        }

        impl From<&$crate::kernels::Constants> for $name {
            fn from(constants: &$crate::kernels::Constants) -> Self {
                Self { $($field: $crate::kernels::sizes::Number::of(constants.float($wgsl))),+ }
            }
        }

        impl From<$name> for $crate::kernels::Constants {
            fn from(sizes: $name) -> Self {
                [$(($wgsl, $crate::kernels::sizes::Number::value(sizes.$field))),+].into_iter().collect()
            }
        }
    };
}

/// A function of sizes as one of constants, which the table of a contract holds. `Sizes` is the file's own struct.
macro_rules! sized {
    (|$sizes:ident| $body:expr) => {
        $crate::kernels::sizes::sized!(|$sizes: Sizes| $body)
    };
    (|$sizes:ident: $name:ty| $body:expr) => {
        |constants: &$crate::kernels::Constants| {
            let $sizes = <$name>::from(constants);
            $body
        }
    };
    ($function:path) => {
        |constants: &$crate::kernels::Constants| $function(constants.into())
    };
}

/// An implementation with no more than these needs, whether it accepts the file's `Sizes`, and its launch.
macro_rules! implementation {
    ($name:literal, $needs:expr, |$sizes:ident| $accepts:expr, $launch:expr $(,)?) => {
        $crate::kernels::Implementation::new(
            $name,
            $needs,
            $crate::kernels::sizes::sized!(|$sizes| $accepts),
            $crate::kernels::sizes::sized!(|$sizes| $launch),
        )
    };
}

/// The portable implementation that every contract ends with.
macro_rules! direct {
    (|$sizes:ident| $launch:expr) => {
        $crate::kernels::Implementation::direct($crate::kernels::sizes::sized!(|$sizes| $launch))
    };
}

/// `vectors` and `direct` of a kernel that is written for `Item`s: four elements to a thread where `innermost` is a multiple of four,
/// else one.
macro_rules! by_item {
    ($path:literal, $bindings:literal, |$sizes:ident| $elements:expr, $innermost:expr) => {
        &[
            $crate::kernels::sizes::implementation!(
                "vectors",
                $crate::kernels::Needs::NOTHING,
                |$sizes| $innermost.is_multiple_of(4),
                $crate::kernels::Launch::items($crate::shader!($path), $bindings, $elements, 4)
            ),
            $crate::kernels::sizes::direct!(|$sizes| {
                $crate::kernels::Launch::items($crate::shader!($path), $bindings, $elements, 1)
            }),
        ]
    };
}

pub(crate) use {by_item, direct, implementation, sized, sizes};
