use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use ::tar::{Builder, EntryType, Header};
use ::zip::ZipWriter;
use ::zip::write::SimpleFileOptions;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::users;

/// A name, what it is (a link's target after the arrow), and a mode.
fn tar(members: &[(&str, EntryType, &str, u32)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, kind, content, mode) in members {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_mtime(1_000_000_000);
        header.set_uid(users::effective_uid().into());
        header.set_gid(users::effective_gid().into());
        // As it stands, which the builder's own ways would refuse.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
        let data = if is_link { "" } else { content };
        if is_link {
            header.set_link_name_literal(content).unwrap();
        }
        header.set_size(data.len() as u64);
        header.set_cksum();
        builder.append(&header, data.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn usual() -> Vec<u8> {
    tar(&[
        ("app/", EntryType::Directory, "", 0o750),
        ("app/run.sh", EntryType::Regular, "#!/bin/sh\n", 0o755),
        ("app/etc/app.conf", EntryType::Regular, "a = 1\n", 0o640),
        ("app/current", EntryType::Symlink, "run.sh", 0o777),
        ("app/same", EntryType::Link, "app/run.sh", 0o755),
    ])
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

struct Place {
    folder: TempDir,
    archive: PathBuf,
    dest: PathBuf,
}

impl Place {
    fn new(data: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (archive, dest) = (folder.path().join("archive"), folder.path().join("dest"));
        fs::write(&archive, data).unwrap();
        fs::create_dir(&dest).unwrap();
        Self { folder, archive, dest }
    }

    fn run(&self, more: Value) -> ModuleResult {
        self.run_in(more, &Context { diff: true, ..Context::default() })
    }

    fn run_in(&self, more: Value, context: &Context) -> ModuleResult {
        let mut args = json!({"src": self.archive, "dest": self.dest, "remote_src": true});
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        run(&Args::new("unarchive", args.as_object().unwrap().clone())?, context)
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.dest.join(name)).unwrap().permissions().mode() & 0o7777
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.dest.join(name)).unwrap()
    }
}

fn changed(result: ModuleResult) -> bool {
    result.unwrap().fields["changed"] == true
}

#[test]
fn a_tar_once_and_what_differs_again() {
    let place = Place::new(&gzip(&usual()));
    let checked = place.run_in(json!({}), &Context { check: true, ..Context::default() }).unwrap();
    assert_eq!((&checked.fields["changed"], place.dest.join("app").exists()), (&json!(true), false));
    let first = place.run(json!({"list_files": true})).unwrap();
    assert_eq!(first.fields["handler"], "TgzArchive");
    let names = json!(["app/", "app/run.sh", "app/etc/app.conf", "app/current", "app/same"]);
    assert_eq!(first.fields["files"], names);
    assert_eq!((place.mode("app"), place.mode("app/run.sh"), place.mode("app/etc/app.conf")), (0o750, 0o755, 0o640));
    assert_eq!(fs::read_link(place.dest.join("app/current")).unwrap(), Path::new("run.sh"));
    assert_eq!(fs::metadata(place.dest.join("app/same")).unwrap().nlink(), 2);
    assert_eq!(fs::metadata(place.dest.join("app/run.sh")).unwrap().mtime(), 1_000_000_000);
    assert!(!changed(place.run(json!({}))));
    fs::write(place.dest.join("app/etc/app.conf"), "a = 2\n").unwrap();
    fs::set_permissions(place.dest.join("app"), fs::Permissions::from_mode(0o700)).unwrap();
    let second = place.run(json!({})).unwrap();
    assert_eq!(second.fields["diff"]["prepared"], ".d...p...?? app/\n.fc.t....?? app/etc/app.conf\n");
    assert_eq!(second.artifacts, [place.dest.join("app"), place.dest.join("app/etc/app.conf")]);
    assert_eq!((place.text("app/etc/app.conf").as_str(), place.mode("app")), ("a = 1\n", 0o750));
    assert!(!changed(place.run(json!({}))));
}

#[test]
fn some_of_it_elsewhere_and_with_a_mode_of_ones_own() {
    let place = Place::new(&usual());
    assert!(changed(place.run(json!({"exclude": ["etc", "*.sh", "same"]}))));
    assert!(!place.dest.join("app/etc").exists() && !place.dest.join("app/run.sh").exists());
    let place = Place::new(&usual());
    let stripped =
        json!({"extra_opts": ["--strip-components=1"], "include": ["app/etc", "app/run.sh"], "mode": "u=rwX,go="});
    assert!(changed(place.run(stripped.clone())));
    assert_eq!((place.mode("run.sh"), place.mode("etc"), place.mode("etc/app.conf")), (0o700, 0o700, 0o600));
    assert!(!place.dest.join("current").exists());
    assert!(!changed(place.run(stripped)));
    assert!(place.run(json!({"extra_opts": ["--overwrite"]})).is_err());
    assert!(place.run(json!({"include": ["a"], "exclude": ["b"]})).is_err());
    let newer = json!({"keep_newer": true});
    fs::create_dir_all(place.dest.join("app")).unwrap();
    fs::write(place.dest.join("app/run.sh"), "mine").unwrap();
    assert!(changed(place.run(newer)));
    assert_eq!(place.text("app/run.sh"), "mine");
}

#[test]
fn a_zip() {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    writer.add_directory("app/", options.unix_permissions(0o750)).unwrap();
    writer.start_file("app/a.txt", options.unix_permissions(0o4644)).unwrap();
    writer.write_all(&b"text ".repeat(1000)).unwrap();
    writer.add_symlink("app/link", "a.txt", options).unwrap();
    let place = Place::new(&writer.finish().unwrap().into_inner());
    let first = place.run(json!({})).unwrap();
    assert_eq!((&first.fields["handler"], &first.fields["changed"]), (&json!("ZipArchive"), &json!(true)));
    assert_eq!((place.text("app/a.txt").len(), place.mode("app"), place.mode("app/a.txt")), (5000, 0o750, 0o644));
    assert_eq!(fs::read_link(place.dest.join("app/link")).unwrap(), Path::new("a.txt"));
    assert!(!changed(place.run(json!({}))));
}

#[test]
fn what_would_lie_elsewhere_is_refused_before_anything_is_written() {
    let cases: [&[(&str, EntryType, &str, u32)]; 6] = [
        &[("../evil", EntryType::Regular, "x", 0o644)],
        &[("/tmp/evil", EntryType::Regular, "x", 0o644)],
        &[("a/../../evil", EntryType::Regular, "x", 0o644)],
        &[("out", EntryType::Symlink, "..", 0o777), ("out/evil", EntryType::Regular, "x", 0o644)],
        &[("out", EntryType::Symlink, "..", 0o777), ("other", EntryType::Link, "out/archive", 0o644)],
        &[("other", EntryType::Link, "../archive", 0o644)],
    ];
    for members in cases {
        let place = Place::new(&tar(&[&[("fine", EntryType::Regular, "x", 0o644)], members].concat()));
        let failure = place.run(json!({})).unwrap_err();
        assert!(failure.message.contains("nothing was unpacked"), "{}", failure.message);
        assert!(fs::read_dir(&place.dest).unwrap().next().is_none(), "{members:?}");
        assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 2);
    }
    // A link where a file shall be is replaced, not followed.
    let place = Place::new(&tar(&[("fine", EntryType::Regular, "new", 0o644)]));
    let victim = place.folder.path().join("victim");
    fs::write(&victim, "old").unwrap();
    std::os::unix::fs::symlink(&victim, place.dest.join("fine")).unwrap();
    assert!(changed(place.run(json!({}))));
    assert_eq!((fs::read_to_string(victim).unwrap().as_str(), place.text("fine").as_str()), ("old", "new"));
}

#[test]
fn what_cannot_be_unpacked_says_so() {
    let device = Place::new(&tar(&[("null", EntryType::Char, "", 0o644)]));
    assert!(device.run(json!({})).unwrap_err().message.contains("not unpacked: Char"));
    let words = |place: &Place, more: Value| place.run(more).unwrap_err().message;
    assert!(
        words(&Place::new(b"no archive at all, but long enough".repeat(40).as_slice()), json!({}))
            .contains("no archive")
    );
    assert!(words(&Place::new(&gzip(&usual())[..100]), json!({})).contains("failed to unpack"));
    assert!(words(&Place::new(b""), json!({})).contains("0 bytes"));
    let place = Place::new(&usual());
    assert!(words(&place, json!({"dest": "/nonesuch"})).contains("must be an existing dir"));
    assert!(words(&place, json!({"src": "/nonesuch"})).contains("does not exist"));
    assert!(words(&place, json!({"remote_src": false})).contains("not in this binary"));
    let skipped = place.run(json!({"creates": place.archive})).unwrap();
    assert_eq!(skipped.fields["skipped"], true);
    assert!(fs::read_dir(&place.dest).unwrap().next().is_none());
}

#[test]
fn what_a_program_of_the_host_unpacks() {
    for (program, handler) in [("xz", "TarXzArchive"), ("bzip2", "TarBzipArchive")] {
        if crate::process::find_program(program).is_none() {
            continue;
        }
        let mut invocation = crate::process::Invocation::new([program, "-c"]);
        invocation.stdin = usual();
        let packed = crate::process::run(&invocation, &Context::default()).unwrap().stdout;
        let place = Place::new(&packed);
        let encoded = base64::engine::general_purpose::STANDARD.encode(&packed);
        let args = json!({"content_b64": encoded, "_original_basename": "app.tar", "dest": place.dest});
        let args = Args::new("unarchive", args.as_object().unwrap().clone()).unwrap();
        let done = run(&args, &Context::default()).unwrap();
        assert_eq!((&done.fields["handler"], &done.fields["src"]), (&json!(handler), &json!("app.tar")));
        assert_eq!(place.text("app/etc/app.conf"), "a = 1\n");
        assert!(!changed(place.run(json!({}))));
        assert!(Place::new(&packed[..packed.len() / 2]).run(json!({})).is_err());
    }
}
