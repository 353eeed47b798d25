//! Named numbers of a call: sizes, switches and rates, all derived before a kernel sees them.

/// A constant of a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constant {
    /// Its name.
    pub name: &'static str,
    /// Its type in WGSL.
    pub wgsl: &'static str,
}

/// (name, number) pairs. They become WGSL `override` values and the twin's argument.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Constants(Vec<(&'static str, f64)>);

impl Constants {
    /// Constants from sizes and switches (0 or 1).
    pub fn sizes(pairs: &[(&'static str, usize)]) -> Self {
        Self(pairs.iter().map(|&(name, value)| (name, value as f64)).collect())
    }

    /// The same constants and one more number; an earlier value of this name is replaced.
    pub fn with(mut self, name: &'static str, value: f64) -> Self {
        self.0.retain(|&(n, _)| n != name);
        self.0.push((name, value));
        self
    }

    /// The number of this name.
    ///
    /// # Panics
    /// When a contract asks for a constant that it does not list: a mistake in the kernel's own file, which every
    /// test of that kernel meets.
    pub fn float(&self, name: &str) -> f64 {
        self.0.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("constant {name} is missing")).1
    }

    /// The size of this name.
    pub fn size(&self, name: &str) -> usize {
        self.float(name) as usize
    }

    /// All pairs, in the order they were given.
    pub fn pairs(&self) -> &[(&'static str, f64)] {
        &self.0
    }
}

impl FromIterator<(&'static str, f64)> for Constants {
    fn from_iter<I: IntoIterator<Item = (&'static str, f64)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl std::fmt::Display for Constants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        f.write_str(&pairs.join(" "))
    }
}
