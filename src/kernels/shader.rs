//! A WGSL file: its text, and where it comes from.

/// Where a shader comes from that is not the crate's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Folder {
    /// The folder, as the user wrote it.
    pub path: &'static str,
    /// Whether the user vouches for its shaders, so that they run without the driver's checks.
    pub trusted: bool,
}

/// A WGSL file, embedded in the binary or of a user's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shader {
    /// Path below `shaders/`, or below the folder.
    pub path: &'static str,
    /// Its text.
    pub text: &'static str,
    /// The user's folder; none for the crate's own.
    pub folder: Option<Folder>,
}

/// The shader at a path below `shaders/`.
#[macro_export]
macro_rules! shader {
    ($path:literal) => {
        $crate::kernels::Shader {
            path: $path,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path)),
            folder: None,
        }
    };
}

impl Shader {
    /// Where the file lies, from the crate's root or as the user named the folder.
    pub fn place(&self) -> String {
        format!("{}/{}", self.folder.map_or("shaders", |folder| folder.path), self.path)
    }

    /// The names that the comment at its beginning lists after a word: `input` and `weights` of `// vec4 input, weights`.
    pub fn listed(&self, word: &str) -> Vec<&'static str> {
        let header = self.text.lines().take_while(|line| line.starts_with("//"));
        let lists = header.filter_map(|line| line.strip_prefix("// ")?.strip_prefix(word)?.strip_prefix(' '));
        let names = lists.map(|list| list.split(',').map(str::trim).collect::<Vec<&str>>());
        // a sentence may begin with the word, too
        names.filter(|names| names.iter().all(|name| !name.is_empty() && !name.contains(' '))).flatten().collect()
    }
}
