//! Which tasks `--tags` and `--skip-tags` select: Ansible's rules.

#[derive(Debug, Default, Clone)]
pub struct TagFilter {
    pub only: Vec<String>,
    pub skip: Vec<String>,
}

impl TagFilter {
    /// None when a task with these tags runs, otherwise why it does not.
    #[must_use]
    pub fn reason(&self, tags: &[String]) -> Option<String> {
        let has = |list: &[String], name: &str| list.iter().any(|tag| tag == name);
        let shared = |list: &[String]| tags.iter().any(|tag| has(list, tag));
        let tagged = !tags.is_empty();
        if !self.only.is_empty() || has(tags, "never") {
            let selected = (has(tags, "always") && !has(&self.skip, "always"))
                || (has(&self.only, "all") && !has(tags, "never"))
                || shared(&self.only)
                || (has(&self.only, "tagged") && tagged && !has(tags, "never"))
                || (has(&self.only, "untagged") && !tagged);
            if !selected {
                return Some(if self.only.is_empty() || (has(tags, "never") && has(&self.only, "all")) {
                    "tagged never".to_owned()
                } else {
                    format!("not selected by tags {}", self.only.join(", "))
                });
            }
        }
        let kept = has(tags, "always") && !has(&self.skip, "always");
        let skipped = (has(&self.skip, "all") && !kept)
            || shared(&self.skip)
            || (has(&self.skip, "tagged") && tagged)
            || (has(&self.skip, "untagged") && !tagged);
        skipped.then(|| format!("skipped by tags {}", self.skip.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(only: &[&str], skip: &[&str], tags: &[&str]) -> bool {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        TagFilter { only: owned(only), skip: owned(skip) }.reason(&owned(tags)).is_none()
    }

    #[test]
    fn rules() {
        assert!(runs(&[], &[], &[]) && runs(&[], &[], &["a"]) && !runs(&[], &[], &["never"]));
        assert!(runs(&["a"], &[], &["a", "b"]) && !runs(&["a"], &[], &["b"]) && !runs(&["a"], &[], &[]));
        assert!(runs(&["a"], &[], &["always"]) && runs(&["a"], &[], &["never", "a"]));
        assert!(runs(&["never"], &[], &["never", "a"]) && !runs(&["all"], &[], &["never"]));
        assert!(runs(&["all"], &[], &["a"]) && runs(&["all"], &[], &[]));
        assert!(runs(&["tagged"], &[], &["a"]) && !runs(&["tagged"], &[], &[]));
        assert!(runs(&["untagged"], &[], &[]) && !runs(&["untagged"], &[], &["a"]));
        assert!(!runs(&[], &["a"], &["a"]) && runs(&[], &["a"], &["b"]) && !runs(&["a"], &["b"], &["a", "b"]));
        assert!(
            !runs(&[], &["always"], &["always"]) && !runs(&[], &["untagged"], &[]) && !runs(&[], &["tagged"], &["a"])
        );
        assert!(runs(&[], &["all"], &["always"]) && !runs(&[], &["all"], &["a"]));
    }
}
