//! "Did you mean": suggests known names for a misspelt one.
//!
//! A name is close to another if at most a third of its letters are wrong, missing, extra or swapped (Damerau-Levenshtein
//! distance), as compilers judge it.

/// The most names to suggest at a time; if more are equally close, none is likely meant.
const MOST: usize = 3;
/// The longest name to compare, in bytes, as the comparison takes time proportional to the product of both lengths.
const LONGEST: usize = 100;

/// Words for the end of a message: ``; did you mean `direct`?``, with several names if they are equally close, or nothing if no
/// known name is close. Case does not matter.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = closest(name, known).iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(" or ")) }
}

/// The known names closest to this one, in their order. Empty if none is close, if more than three are equally close, or if the
/// name is known.
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let lowercase = name.to_lowercase();
    let mut found: Vec<&str> = Vec::new();
    let mut least = usize::MAX;
    for other in known.into_iter().filter(|other| name.len() <= LONGEST && other.len() <= LONGEST) {
        let distance = strsim::damerau_levenshtein(&lowercase, &other.to_lowercase());
        let allowed = name.chars().count().max(other.chars().count()) / 3;
        if distance > allowed.max(1) || distance > least || distance >= other.chars().count() {
            continue;
        }
        if distance < least {
            (least, found) = (distance, Vec::new());
        }
        if !found.contains(&other) {
            found.push(other);
        }
    }
    let misspelt = found.len() <= MOST && !found.contains(&name);
    if misspelt { found } else { Vec::new() }
}

/// [`did_you_mean`] for a message in which serde refuses a name and lists those it knows: ``unknown field `rats`, expected one of
/// `rate`, `units` ``. Empty for other messages.
pub fn did_serde_mean(message: &str) -> String {
    let is_refusal = message.contains("unknown field `") || message.contains("unknown variant `");
    let Some((refused, expected)) = message.split_once(", expected ").filter(|_| is_refusal) else {
        return String::new();
    };
    let quoted = |text| str::split(text, '`').skip(1).step_by(2);
    quoted(refused).last().map_or(String::new(), |name| did_you_mean(name, quoted(expected)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_are_suggested_and_others_are_not() {
        let known = ["direct", "tiled", "matrix", "conv3", "conv4", "dense", "relu", "a"];
        let table: [(&str, &[&str]); 14] = [
            ("direkt", &["direct"]),
            ("driect", &["direct"]),
            ("Matrx", &["matrix"]),
            ("TILED", &["tiled"]),
            ("conv5", &["conv3", "conv4"]),
            ("conv", &["conv3", "conv4"]),
            ("densse", &["dense"]),
            ("relv", &["relu"]),
            ("conv3", &[]),
            ("b", &[]),
            ("", &[]),
            ("tanh", &[]),
            ("resnet50", &[]),
            ("matmul", &[]),
        ];
        for (name, wanted) in table {
            assert_eq!(closest(name, known), wanted, "{name}");
        }
        assert_eq!(closest("x1", ["a1", "b1", "c1", "d1"]), [""; 0], "too many to help");
        assert_eq!(closest(&"x".repeat(1 << 20), known), [""; 0], "and at once");
    }

    #[test]
    fn words_for_a_message() {
        assert_eq!(did_you_mean("direkt", ["direct", "tiled"]), "; did you mean `direct`?");
        assert_eq!(did_you_mean("conv5", ["conv3", "conv4"]), "; did you mean `conv3` or `conv4`?");
        assert_eq!(did_you_mean("warp drive", ["conv3", "conv4"]), "");
    }

    #[test]
    fn serdes_own_lists_are_read() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only read")]
        struct Known {
            filters: Option<u32>,
            kernel: Option<u32>,
            stride: Option<u32>,
        }
        let refused = |text: &str| did_serde_mean(toml::from_str::<Known>(text).unwrap_err().message());
        assert_eq!(refused("filter = 3"), "; did you mean `filters`?");
        assert_eq!(refused("Stride = 3"), "; did you mean `stride`?");
        assert_eq!(refused("units = 3"), "");
        assert_eq!(refused("kernel = 'large'"), "");
        assert_eq!(refused("kernel = "), "");
        assert_eq!(did_serde_mean("unknown field `a`, there are no fields"), "");
    }
}
