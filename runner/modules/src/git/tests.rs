use std::process::Command;

use tempfile::TempDir;

use super::*;
use crate::process::find_program;

/// A repository with two commits on `main`, a branch and an annotated tag on the first.
struct Place {
    folder: TempDir,
    repo: PathBuf,
    dest: PathBuf,
}

impl Place {
    fn new() -> Option<Self> {
        find_program("git")?;
        let folder = tempfile::tempdir().unwrap();
        let place = Self { repo: folder.path().join("repo"), dest: folder.path().join("deep/copy"), folder };
        fs::create_dir(&place.repo).unwrap();
        place.git(&["init", "-q", "-b", "main"]);
        place.commit("one");
        place.git(&["tag", "-a", "v1", "-m", "first"]);
        place.git(&["branch", "other"]);
        place.commit("two");
        Some(place)
    }

    fn git(&self, words: &[&str]) -> String {
        let name = [
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@y",
            "-c",
            "commit.gpgsign=false",
            "-c",
            "protocol.file.allow=always",
        ];
        let done = Command::new("git").args(name).args(words).current_dir(&self.repo).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, text: &str) {
        fs::write(self.repo.join("file"), text).unwrap();
        self.git(&["add", "file"]);
        self.git(&["commit", "-q", "-m", text]);
    }

    fn run(&self, more: Value) -> ModuleResult {
        self.run_in(more, &Context { diff: true, ..Context::default() })
    }

    fn run_in(&self, more: Value, context: &Context) -> ModuleResult {
        let mut args = json!({"repo": self.repo, "dest": self.dest});
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        run(&Args::new("git", args.as_object().unwrap().clone())?, context)
    }

    fn text(&self) -> String {
        fs::read_to_string(self.dest.join("file")).unwrap()
    }
}

fn changed(result: ModuleResult) -> bool {
    result.unwrap().fields["changed"] == true
}

#[test]
fn a_copy_follows_its_repository() {
    let Some(place) = Place::new() else { return };
    let check = Context { check: true, ..Context::default() };
    let head = place.git(&["rev-parse", "HEAD"]);
    let foretold = place.run_in(json!({}), &check).unwrap();
    assert_eq!((&foretold.fields["after"], foretold.fields["changed"] == true), (&json!(head), true));
    assert!(!place.dest.exists());
    let first = place.run(json!({})).unwrap();
    assert_eq!((&first.fields["before"], &first.fields["after"]), (&json!(null), &json!(head)));
    assert_eq!(first.fields["diff"]["prepared"], format!(">> Newly checked out {head}"));
    assert!(!changed(place.run(json!({}))) && !changed(place.run_in(json!({}), &check)));
    place.commit("three");
    assert!(!changed(place.run(json!({"update": false}))));
    assert!(changed(place.run_in(json!({}), &check)));
    assert_eq!(place.text(), "two");
    let second = place.run(json!({})).unwrap();
    assert!(second.fields["diff"]["prepared"].as_str().unwrap().contains("+three"));
    assert_eq!((&second.fields["before"], place.text().as_str()), (&json!(head), "three"));
}

#[test]
fn versions_and_local_changes() {
    let Some(place) = Place::new() else { return };
    let id = place.git(&["rev-parse", "v1^{commit}"]);
    for version in ["v1", "other", id.as_str()] {
        assert_eq!(place.run(json!({"version": version})).unwrap().fields["after"], json!(id), "{version}");
        assert!(!changed(place.run(json!({"version": version}))), "{version}");
        assert_eq!(place.text(), "one");
        assert!(changed(place.run(json!({"version": "main"}))));
        assert_eq!(place.text(), "two");
    }
    fs::write(place.dest.join("untracked"), "x").unwrap();
    assert!(!changed(place.run(json!({}))));
    fs::write(place.dest.join("file"), "mine").unwrap();
    let failure = place.run(json!({})).unwrap_err();
    assert!(failure.message.starts_with("Local modifications exist"), "{}", failure.message);
    assert!(changed(place.run(json!({"force": true}))));
    assert_eq!((place.text().as_str(), place.dest.join("untracked").exists()), ("two", true));
    let failure = place.run(json!({"version": "nonesuch"})).unwrap_err();
    assert!(failure.message.starts_with("git checkout failed") && failure.fields["rc"] != 0, "{}", failure.message);
    for args in [json!({"version": "--x"}), json!({"repo": "--upload-pack=x"}), json!({"dest": null})] {
        assert!(place.run(args.clone()).is_err(), "{args}");
    }
    let failure = place.run(json!({"dest": place.folder.path().join("x"), "repo": "https://me:s3cret@127.0.0.1:1/x"}));
    let failure = failure.unwrap_err();
    assert!(!format!("{failure:?}").contains("s3cret"), "{failure:?}");
}

#[test]
fn shallow_bare_and_with_submodules() {
    let Some(place) = Place::new() else { return };
    let shallow = json!({"depth": 1, "version": "other", "dest": place.folder.path().join("shallow")});
    assert!(changed(place.run(shallow.clone())) && !changed(place.run(shallow)));
    let moved = json!({"depth": 1, "version": "main", "dest": place.folder.path().join("shallow")});
    assert!(changed(place.run(moved.clone())) && !changed(place.run(moved)));
    let shallow = place.folder.path().join("shallow");
    assert!(shallow.join(".git/shallow").exists());
    assert_eq!(fs::read_to_string(shallow.join("file")).unwrap(), "two");
    let bare = json!({"bare": true, "dest": place.folder.path().join("bare.git")});
    assert!(changed(place.run(bare.clone())) && !changed(place.run(bare.clone())));
    place.commit("three");
    assert!(changed(place.run(bare)));
    let info = place.run(json!({"clone": false, "dest": place.folder.path().join("none")})).unwrap();
    assert_eq!(info.fields["after"], json!(place.git(&["rev-parse", "HEAD"])));
    let inner = Place::new().unwrap();
    place.git(&["submodule", "-q", "add", &format!("file://{}", inner.repo.display()), "sub"]);
    place.git(&["commit", "-q", "-m", "with a submodule"]);
    let environment =
        [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "protocol.file.allow"), ("GIT_CONFIG_VALUE_0", "always")];
    let environment = environment.map(|(name, value)| (name.into(), value.into())).to_vec();
    let context = Context { environment, ..Context::default() };
    let first = place.run_in(json!({}), &context).unwrap();
    assert_eq!(first.fields["submodules_changed"], true);
    assert_eq!(fs::read_to_string(place.dest.join("sub/file")).unwrap(), "two");
    assert!(!changed(place.run_in(json!({}), &context)));
}
